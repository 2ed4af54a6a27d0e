// What the tests share: the ini as it is on the disk, the settings as they are live, and how to connect. All of it is
// asked for once, when the first test needs it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "settings/load.hpp"
#include "settings/table.hpp"
#include "tools/check/model.hpp"
#include "tools/check/options.hpp"
#include "tools/check/session.hpp"

namespace pgweir::tools::check {

class Context {
 public:
  explicit Context(const Options& options);

  const Options& options() const { return options_; }
  const Policy& policy() const { return options_.policy; }

  const settings::LoadResult& ini();  // of --config; its snapshot is null when it is not valid
  // The listening addresses that the ini names, as libpq wants them; with unix sockets as directories.
  std::vector<std::string> addresses();

  // Where each connection goes, with what the ini says of it.
  Where pool();
  Where direct();
  Where console();
  Result<Session> open(Where where, const Where& changes = {}) const;

  // Why what `needs` names is not there; empty: all of it is. Tries each once.
  std::string missing(unsigned needs);

  // SHOW CONFIG, live. Empty when the console does not answer.
  const std::map<std::string, std::string>& live();
  // A setting: live, else as the ini says.
  std::string setting(const std::string& name);
  std::string pool_mode();  // of the pool that the tests use; from the console, else from the ini

 private:
  std::string try_open(const Where& where) const;

  const Options& options_;
  std::optional<settings::LoadResult> ini_;
  std::optional<std::map<std::string, std::string>> live_;
  std::map<unsigned, std::string> missing_;
};

// A console's SHOW as rows of column and value.
Result<std::vector<std::map<std::string, std::string>>> show(Session& console, const std::string& topic);

std::string octal(unsigned mode);
// A host as people write it.
std::string place(const Where& where);
std::string random_word();  // sixteen letters nobody has chosen

}  // namespace pgweir::tools::check
