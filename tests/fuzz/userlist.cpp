// auth_file. Records must stay within their limits, stand behind each other in the text, be found again, and at most
// one complaint may end the parse.
#include <cstdint>
#include <cstdlib>

#include "auth/userlist.hpp"

namespace pgweir::auth {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  UserlistText parsed = parse_userlist(ByteView(reinterpret_cast<const char*>(data), size), "users");
  size_t skipped = 0;
  for (const Complaint& complaint : parsed.complaints)
    skipped += complaint.skipped;
  if (skipped > 1) std::abort();
  size_t behind = 0;
  for (const UserRecord& record : parsed.records) {
    if (record.begin < behind || record.fields_end <= record.begin || record.end < record.fields_end ||
        record.end > size)
      std::abort();
    behind = record.end;
    if (record.name.size() > kMaxUserName || record.secret.text().size() > kMaxSecretText) std::abort();
    if (record.secret.empty() != record.secret.text().empty()) std::abort();
  }
  Userlist users(parsed.records);
  for (const UserRecord& record : parsed.records)
    if (!users.find(record.name)) std::abort();
  if (users.size() > parsed.records.size()) std::abort();
  return 0;
}

}  // namespace pgweir::auth
