#include "track/parameters.hpp"

#include <algorithm>
#include <functional>

#include "base/text.hpp"

namespace pgweir::track {

TrackedNames::TrackedNames(const std::vector<std::string>& extra)
    : names_{"DateStyle", "client_encoding", "TimeZone", "standard_conforming_strings", "application_name"} {
  for (const std::string& name : extra) {
    if (find(name) == kNone) names_.push_back(name);
  }
}

size_t TrackedNames::find(ByteView name) const {
  for (size_t index = 0; index < names_.size(); ++index) {
    if (equal_ignoring_case(names_[index], name)) return index;
  }
  return kNone;
}

ParameterSet::ParameterSet(const ParameterSet& other)
    : names_(other.names_),
      values_(other.values_ ? std::make_shared<Values>(*other.values_) : nullptr),
      extras_(other.extras_),
      set_by_(other.set_by_) {}

ParameterSet& ParameterSet::operator=(const ParameterSet& other) {
  ParameterSet copy = other;
  return *this = std::move(copy);
}

bool ParameterSet::set(ByteView name, ByteView value) {
  size_t index = names_ ? names_->find(name) : TrackedNames::kNone;
  if (index == TrackedNames::kNone) return false;
  const Value& has = this->value(index);
  if (has && *has == value) return true;
  set_value(index, std::make_shared<const std::string>(value));
  return true;
}

void ParameterSet::set_value(size_t index, Value value) {
  if (!values_) values_ = std::make_shared<Values>(names_->size());
  if (values_.use_count() > 1) values_ = std::make_shared<Values>(*values_);
  (*values_)[index] = std::move(value);
}

const Value& ParameterSet::value(size_t index) const {
  static const Value kUnset;
  return values_ && index < values_->size() ? (*values_)[index] : kUnset;
}

namespace {

bool same_texts(const std::vector<Value>& a, const std::vector<Value>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Value& x, const Value& y) { return x == y || (x && y && *x == *y); });
}

}  // namespace

void SharedSets::share(ParameterSet& client) {
  if (!client.values_) return;
  bool known = false;
  for (const auto& before : recent_) {
    auto values = before.lock();
    known |= values == client.values_;
    if (!values || values == client.values_ || !same_texts(*values, *client.values_)) continue;
    client.values_ = std::move(values);
    return;
  }
  if (!known) recent_[next_++ % recent_.size()] = client.values_;
}

Value ParameterSet::value(ByteView name) const {
  size_t index = names_ ? names_->find(name) : TrackedNames::kNone;
  return index == TrackedNames::kNone ? nullptr : value(index);
}

void ParameterSet::set_extra(ByteView name, ByteView value) {
  auto changed = extras_ ? std::make_shared<Extras>(*extras_) : std::make_shared<Extras>();
  auto same = [&](const auto& item) { return equal_ignoring_case(item.first, name); };
  auto found = std::find_if(changed->begin(), changed->end(), same);
  if (found != changed->end()) {
    found->second = value;
  } else {
    changed->emplace_back(name, value);
  }
  extras_ = std::move(changed);
}

std::string quote_literal(ByteView value) {
  std::string out = value.find('\\') == ByteView::npos ? "'" : "E'";
  for (char c : value) {
    if (c == '\'' || c == '\\') out.push_back(c);
    out.push_back(c);
  }
  out.push_back('\'');
  return out;
}

void ParameterSet::doubt_extras() {
  if (!extras_) return;
  auto changed = std::make_shared<Extras>(*extras_);
  for (auto& [name, value] : *changed)
    value.assign(1, '\0');  // no client asks for such a value
  extras_ = std::move(changed);
}

void note_command(ParameterSet& server, ByteView command_complete, uint32_t by) {
  if (command_complete == ByteView("SET\0", 4)) server.note_set(by);
  if (command_complete == ByteView("DISCARD ALL\0", 12)) server.set_extras(nullptr);
  if (command_complete == ByteView("RESET\0", 6)) server.doubt_extras();
}

namespace {

std::string quote_name(ByteView name) {
  // Custom settings have dots; each part is quoted so that no name can carry SQL.
  std::string out = "\"";
  for (char c : name) {
    if (c == '"') out.push_back('"');
    if (c == '.') {
      out += "\".\"";
      continue;
    }
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

// Settings whose value is a list of names, not one string (GUC_LIST_QUOTE in PostgreSQL's guc.c).
bool is_list(ByteView name) {
  return equal_ignoring_case(name, "search_path") || equal_ignoring_case(name, "temp_tablespaces");
}

// Each element is quoted on its own, an empty list is ''.
std::string quote_list(ByteView value) {
  if (trim(value).empty()) return "''";
  std::string out;
  std::string item;
  bool quoted = false;
  bool in_quotes = false;
  auto flush = [&] {
    std::string_view text = quoted ? std::string_view(item) : trim(item);
    if (!out.empty()) out += ", ";
    std::string plain = quoted ? std::string(text) : lower(text);
    out += quote_literal(plain);
    item.clear();
    quoted = false;
  };
  for (size_t at = 0; at < value.size(); ++at) {
    char c = value[at];
    if (in_quotes) {
      if (c == '"' && at + 1 < value.size() && value[at + 1] == '"') {
        item.push_back('"');
        ++at;
      } else if (c == '"') {
        in_quotes = false;
      } else {
        item.push_back(c);
      }
    } else if (c == '"') {
      in_quotes = quoted = true;
      item.clear();
    } else if (c == ',') {
      flush();
    } else if (!quoted || (c != ' ' && c != '\t')) {
      item.push_back(c);
    }
  }
  flush();
  return out;
}

void append_set(std::string& sql, ByteView name, ByteView value) {
  sql += "SET " + quote_name(lower(name)) + (is_list(name) ? " TO " + quote_list(value) : "=" + quote_literal(value)) +
         ";";
}

bool same_value(const Value& a, const Value& b) {
  return a == b || (a && b && equal_ignoring_case(*a, *b));
}

// Of two places of one text, the one that both keep. An order without cycles: whoever shares with whom, it ends.
template <class Shared>
const Shared& first_of(const Shared& a, const Shared& b) {
  return std::less<>()(a.get(), b.get()) ? a : b;
}

void share_value(ParameterSet& client, ParameterSet& server, size_t index) {
  const Value& wanted = client.value(index);
  const Value& has = server.value(index);
  if (wanted == has || !wanted || !has || *wanted != *has) return;  // equal but for case is not the same text
  Value shared = first_of(wanted, has);
  client.move_value(index, shared);
  server.move_value(index, std::move(shared));
}

void replay_extras(ParameterSet& client, ParameterSet& server, std::string& sql) {
  const auto* wanted = client.extras();
  const auto* applied = server.extras();
  if (wanted == applied) return;
  if (wanted && applied && *wanted == *applied) {
    auto shared = first_of(client.shared_extras(), server.shared_extras());
    client.set_extras(shared);
    server.set_extras(std::move(shared));
    return;
  }
  auto value_in = [](const ParameterSet::Extras* list, const std::string& name) -> const std::string* {
    if (!list) return nullptr;
    for (const auto& item : *list) {
      if (equal_ignoring_case(item.first, name)) return &item.second;
    }
    return nullptr;
  };
  if (applied) {
    for (const auto& [name, value] : *applied) {
      if (!value_in(wanted, name)) sql += "RESET " + quote_name(lower(name)) + ";";
    }
  }
  if (wanted) {
    for (const auto& [name, value] : *wanted) {
      const std::string* now = value_in(applied, name);
      if (!now || *now != value) append_set(sql, name, value);
    }
  }
  server.set_extras(client.shared_extras());
}

}  // namespace

std::string replay(ParameterSet& client, ParameterSet& server) {
  std::string sql;
  if (client.satisfied_by(server)) return sql;
  const TrackedNames* names = client.names();
  if (!names) return sql;
  for (size_t index = 0; index < names->size(); ++index) {
    share_value(client, server, index);
    const Value& wanted = client.value(index);
    if (!wanted || same_value(wanted, server.value(index))) continue;
    append_set(sql, names->name(index), *wanted);
  }
  replay_extras(client, server, sql);
  return sql;
}

std::vector<std::string> settings_of(const ParameterSet& parameters) {
  std::vector<std::string> all;
  const TrackedNames* names = parameters.names();
  for (size_t index = 0; names && index < names->size(); ++index) {
    if (parameters.value(index)) all.push_back(cat(lower(names->name(index)), '=', *parameters.value(index)));
  }
  if (const auto* extras = parameters.extras()) {
    for (const auto& [name, value] : *extras)
      all.push_back(cat(lower(name), '=', value));
  }
  return all;
}

}  // namespace pgweir::track
