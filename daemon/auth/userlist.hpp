// auth_file: users and their secrets (compat/auth.md, section 1), read into an immutable list.
// Promises: whoever is not in the list, or has an empty secret there, has no secret; nothing outlives a reload.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/secret.hpp"
#include "auth/textfile.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

inline constexpr size_t kMaxUserName = 127;      // bytes
inline constexpr size_t kMaxSecretText = 65530;  // bytes

struct UserRecord {
  std::string name;
  Secret secret;
  int line = 0;
  // Where it stands in the text, for who writes the file anew: from its first quote, over the last quote of the secret,
  // to behind the end of that line.
  size_t begin = 0;
  size_t fields_end = 0;
  size_t end = 0;
};

struct UserlistText {
  std::vector<UserRecord> records;    // in file order, up to the first malformed one
  std::vector<Complaint> complaints;  // at most one of them `skipped`: the malformed record that ended the parse
};

// Reads the records. A malformed record ends the parse ("broken auth file", "username too long in auth file",
// "password too long in auth file"); the records before it are returned all the same.
UserlistText parse_userlist(ByteView text, const std::string& file);

class Userlist {
 public:
  Userlist() = default;
  explicit Userlist(std::vector<UserRecord> records);  // later records of a name win

  // Null for an unknown user. A known user's secret may be empty (kNone): it never matches.
  const Secret* find(ByteView name) const;

  size_t size() const { return users_.size(); }

  // The most frequent iteration count among SCRAM secrets; 0 without any. What mocks and verify_password should cost.
  uint32_t scram_iterations() const { return scram_iterations_; }

  template <class Function>
  void for_each(Function&& visit) const {  // visit(const std::string& name, const Secret&), in no order
    for (const auto& [name, secret] : users_)
      visit(name, secret);
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(ByteView name) const { return std::hash<ByteView>{}(name); }
  };
  std::unordered_map<std::string, Secret, Hash, std::equal_to<>> users_;
  uint32_t scram_iterations_ = 0;
};

struct UserlistLoad {
  std::shared_ptr<const Userlist> users;
  std::vector<Complaint> complaints;  // of parse_userlist, and a warning for a file that everybody may read
};

// Error: `could not open auth_file PATH: REASON`.
Result<UserlistLoad> load_userlist(const std::string& path);

// The warning, with its remedy, for permission bits that let others read; empty when they do not.
std::string userlist_mode_warning(const std::string& path, unsigned mode);

}  // namespace pgweir::auth
