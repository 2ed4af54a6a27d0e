#include "login/greeting.hpp"

#include "base/text.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

void fill_unset(track::ParameterSet& client, const track::ParameterSet& pool_values) {
  const track::TrackedNames* names = client.names();
  if (!names) return;
  for (size_t index = 0; index < names->size(); ++index) {
    if (!client.value(index) && pool_values.value(index)) client.set_value(index, pool_values.value(index));
  }
}

void prepare_greeting(pool::Welcome& welcome) {
  const track::TrackedNames* names = welcome.tracked.names();
  welcome.fixed.clear();
  wire::append_authentication_ok(welcome.fixed);
  for (const auto& [name, value] : welcome.parameters) {
    if (names && names->find(name) != track::TrackedNames::kNone) continue;
    wire::append_parameter_status(welcome.fixed, name, value);
  }
}

void append_greeting(std::string& out, const pool::Welcome& welcome, const track::ParameterSet& client) {
  const track::TrackedNames* names = client.names();
  out += welcome.fixed;
  for (size_t index = 0; names && index < names->size(); ++index) {
    if (client.value(index)) wire::append_parameter_status(out, names->name(index), *client.value(index));
  }
}

void untrack_unreported(track::ParameterSet& client, const track::ParameterSet& pool_values) {
  const track::TrackedNames* names = client.names();
  for (size_t index = 0; names && index < names->size(); ++index) {
    if (!client.value(index) || pool_values.value(index)) continue;
    client.set_extra(names->name(index), *client.value(index));
    client.set_value(index, nullptr);
  }
}

}  // namespace pgweir::login
