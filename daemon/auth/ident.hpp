// Ident maps (auth_ident_file; compat/auth.md, section 7): which system user or certificate name may log in as whom.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "auth/names.hpp"
#include "auth/textfile.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

class IdentMaps {
 public:
  struct Entry {
    std::string system_user;
    std::string database_user;
    bool every_user = false;  // the unquoted word `all`
  };

  void add(std::string map, Entry entry) { maps_[std::move(map)].push_back(std::move(entry)); }
  bool has(ByteView map) const { return maps_.find(map) != maps_.end(); }
  size_t size() const { return maps_.size(); }

  // May `system_user` log in as `database_user` by `map`? With an empty map name: only under the same name.
  bool matches(ByteView map, ByteView system_user, ByteView database_user) const;

  // The same for a client certificate: any of its names will do.
  bool matches(ByteView map, const CertificateNames& names, ByteView database_user) const;

 private:
  std::map<std::string, std::vector<Entry>, std::less<>> maps_;
};

struct IdentLoad {
  IdentMaps maps;
  std::vector<Complaint> complaints;  // "could not parse ident config line N", each line skipped
};

IdentLoad parse_ident(ByteView text, const std::string& file);

// Error: `could not open ident config file PATH: REASON`.
Result<IdentLoad> load_ident(const std::string& path);

}  // namespace pgweir::auth
