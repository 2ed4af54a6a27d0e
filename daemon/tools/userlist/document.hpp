// The userlist as a text that people edit, too: what of it is kept, and what it becomes with the roles of today.
// Promises: comments, blank lines, the order, the rest of each line, and entries marked as kept by hand stay byte by
// byte; what comes out is read by auth::parse_userlist (and by PgBouncer) as exactly what is meant; no date, no host:
// the same roles make the same text. Pure: touches no file.
#pragma once

#include <string>
#include <vector>

#include "auth/secret.hpp"
#include "base/result.hpp"
#include "tools/userlist/roles.hpp"

namespace pgweir::tools::userlist {

// The marks, comments that begin with "; pgweir-userlist:": `keep` in the line before an entry, or behind it on its
// line; `keep begin` and `keep end` around several; `managed` in files that this tool has written.
struct Piece {
  bool is_entry = false;
  bool kept = false;      // an entry that is marked
  std::string text;       // comments and blank lines; of an entry all its lines
  std::string name;       // of an entry
  auth::Secret secret;    // of an entry
  size_t fields_end = 0;  // of an entry: where in `text` the rest of the line begins
};

struct Document {
  std::vector<Piece> pieces;
  bool managed = false;  // says that this tool has written it
};

// Error: the text is no userlist, or a mark in it is not understood; with `file` and line.
Result<Document> parse_document(ByteView text, const std::string& file);

// `"` doubled, in quotes.
std::string quoted(ByteView field);

struct Plan {
  auth::SecretBytes text;            // the file to be
  std::vector<std::string> added;    // names, sorted
  std::vector<std::string> changed;  // with another secret
  std::vector<std::string> removed;
  std::vector<std::string> kept;  // entries marked as kept by hand
  size_t unchanged = 0;           // neither of these
  size_t managed_before = 0;      // entries of the old file that are not kept
};

// `roles` sorted by name. An entry kept by hand stands for its role: that is not written a second time.
Plan make_plan(const Document& old, const std::vector<Role>& roles);

}  // namespace pgweir::tools::userlist
