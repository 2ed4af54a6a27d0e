#include "tools/userlist/document.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "auth/userlist.hpp"
#include "base/text.hpp"

namespace pgweir::tools::userlist {

namespace {

constexpr std::string_view kMark = "pgweir-userlist:";
constexpr std::string_view kHeader =
    "; pgweir-userlist: managed\n"
    "; Written by pgweir-userlist from PostgreSQL's roles. An entry of your own stays when this comment stands before "
    "it:\n"
    ";   ; pgweir-userlist: keep\n";

enum class Mark { kNone, kManaged, kKeep, kKeepBegin, kKeepEnd, kUnknown };

// Of one line.
Mark mark_of(std::string_view line) {
  line = trim(line);
  if (line.empty() || line[0] != ';') return Mark::kNone;
  line = trim(line.substr(1));
  if (!line.starts_with(kMark)) return Mark::kNone;
  const std::vector<std::string> words = split_names(line.substr(kMark.size()));
  if (words == std::vector<std::string>{"managed"}) return Mark::kManaged;
  if (words == std::vector<std::string>{"keep"}) return Mark::kKeep;
  if (words == std::vector<std::string>{"keep", "begin"}) return Mark::kKeepBegin;
  if (words == std::vector<std::string>{"keep", "end"}) return Mark::kKeepEnd;
  return Mark::kUnknown;
}

// Reads comments and entries in turn and knows which entries are kept.
class Marker {
 public:
  Marker(Document& document, const std::string& file) : document_(document), file_(file) {}

  // What stands between two entries; `line` is the number of its first line. Error: a mark that is none.
  Result<void> between(std::string_view text, int line) {
    Result<void> outcome;
    auth::for_each_line(text, [&](ByteView one, int number) {
      if (outcome.ok()) outcome = comment(one, line + number - 1);
    });
    return outcome;
  }

  // At the end of the text. An open mark would keep what is added behind it.
  Result<void> end(int line) const {
    if (!next_ && !within_) return {};
    return Error{
        cat(file_, ":", line, ": the last mark of pgweir-userlist has no ", next_ ? "entry behind it" : "end")};
  }

  // Whether the entry with this rest of its line is kept.
  Result<bool> entry(std::string_view rest, int line) {
    const Mark mark = mark_of(rest);
    if (mark != Mark::kNone && mark != Mark::kKeep) return misplaced(line);
    const bool kept = next_ || within_ || mark == Mark::kKeep;
    next_ = false;
    return kept;
  }

 private:
  Error misplaced(int line) const {
    return Error{cat(file_, ":", line, ": a mark of pgweir-userlist that is none, or not here: the marks are ",
                     "\"keep\", \"keep begin\" and \"keep end\"")};
  }

  Result<void> comment(std::string_view text, int line) {
    const Mark mark = mark_of(text);
    if (mark == Mark::kUnknown || (mark == Mark::kKeepEnd && !within_) || (mark == Mark::kKeepBegin && within_))
      return misplaced(line);
    if (mark == Mark::kManaged) document_.managed = true;
    if (mark == Mark::kKeep) next_ = true;
    if (mark == Mark::kKeepBegin) within_ = true;
    if (mark == Mark::kKeepEnd) within_ = false;
    return {};
  }

  Document& document_;
  const std::string& file_;
  bool next_ = false;    // the next entry is kept
  bool within_ = false;  // between `keep begin` and `keep end`
};

// Blanks before an entry on its line belong to the entry: they go when it goes.
size_t line_begin(ByteView text, size_t at) {
  const size_t feed = text.substr(0, at).rfind('\n');
  return feed == ByteView::npos ? 0 : feed + 1;
}

void end_line(std::string& text) {
  if (!text.empty() && text.back() != '\n') text.push_back('\n');
}

std::string entry_text(ByteView name, ByteView secret) {
  return cat(quoted(name), ' ', quoted(secret));
}

// At least what the new text will have, doubled quotes and all.
size_t size_of(const Document& old, const std::vector<Role>& roles) {
  size_t size = kHeader.size() + 1;
  for (const Piece& piece : old.pieces)
    size += piece.text.size();
  for (const Role& role : roles)
    size += 2 * (role.name.size() + role.secret.text().size()) + 8;
  return size;
}

using Secrets = std::map<std::string, const auth::Secret*>;

// What the daemon makes of a list: the last entry of a name counts.
void compare(const Secrets& before, const Secrets& after, const std::set<std::string>& kept, Plan& plan) {
  for (const auto& [name, secret] : after) {
    auto old = before.find(name);
    if (old == before.end()) {
      plan.added.push_back(name);
    } else if (!old->second->same_as(*secret)) {
      plan.changed.push_back(name);
    } else if (!kept.contains(name)) {
      ++plan.unchanged;
    }
  }
  for (const auto& [name, secret] : before)
    if (!after.contains(name)) plan.removed.push_back(name);
}

}  // namespace

std::string quoted(ByteView field) {
  std::string out;
  out.reserve(field.size() + 2);  // most fields need no more: no half copy of a secret is left behind
  out.push_back('"');
  for (char c : field) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

Result<Document> parse_document(ByteView text, const std::string& file) {
  auth::UserlistText parsed = auth::parse_userlist(text, file);
  for (const auth::Complaint& complaint : parsed.complaints)
    return Error{auth::describe(complaint)};  // warnings too: to write such a file anew is to guess what was meant
  Document out;
  Marker marker(out, file);
  size_t done = 0;
  int line = 1;
  auto comments = [&](size_t end) -> Result<void> {
    const ByteView between = text.substr(done, end - done);
    auto read = marker.between(between, line);
    Piece piece;
    piece.text = between;
    if (!between.empty()) out.pieces.push_back(std::move(piece));
    done = end;
    return read;
  };
  for (auth::UserRecord& record : parsed.records) {
    const size_t begin = line_begin(text, record.begin);
    auto read = comments(begin);
    if (!read) return read.error();
    auto kept = marker.entry(text.substr(record.fields_end, record.end - record.fields_end), record.line);
    if (!kept) return kept.error();
    Piece piece;
    piece.is_entry = true;
    piece.kept = *kept;
    piece.text = text.substr(begin, record.end - begin);
    piece.fields_end = record.fields_end - begin;
    line = record.line + static_cast<int>(std::count(text.begin() + static_cast<ptrdiff_t>(record.begin),
                                                     text.begin() + static_cast<ptrdiff_t>(record.end), '\n'));
    piece.name = std::move(record.name);
    piece.secret = std::move(record.secret);
    out.pieces.push_back(std::move(piece));
    done = record.end;
  }
  auto read = comments(text.size());
  if (read) read = marker.end(line);
  if (!read) return read.error();
  return out;
}

Plan make_plan(const Document& old, const std::vector<Role>& roles) {
  Plan plan;
  Secrets before;
  Secrets after;
  std::set<std::string> kept;
  for (const Piece& piece : old.pieces) {
    if (!piece.is_entry) continue;
    before[piece.name] = &piece.secret;
    if (!piece.kept) {
      ++plan.managed_before;
      continue;
    }
    kept.insert(piece.name);
    after[piece.name] = &piece.secret;
  }
  Secrets wanted;
  for (const Role& role : roles)
    if (!kept.contains(role.name)) wanted[role.name] = &role.secret;
  std::string text;
  text.reserve(size_of(old, roles));  // at once, so that no half copy of secrets is left behind by a growing string
  if (!old.managed) text += kHeader;
  std::set<std::string> written;
  for (const Piece& piece : old.pieces) {
    auto role = wanted.find(piece.name);
    if (!piece.is_entry || piece.kept) {
      text += piece.text;
    } else if (role != wanted.end() && written.insert(piece.name).second) {
      if (role->second->same_as(piece.secret)) {
        text += piece.text;
      } else {
        text += cat(entry_text(piece.name, role->second->text()), ByteView(piece.text).substr(piece.fields_end));
      }
    }
  }
  for (const auto& [name, secret] : wanted) {
    if (!written.insert(name).second) continue;
    end_line(text);
    text += cat(entry_text(name, secret->text()), '\n');
  }
  after.insert(wanted.begin(), wanted.end());
  compare(before, after, kept, plan);
  plan.kept.assign(kept.begin(), kept.end());
  plan.text = auth::SecretBytes(std::move(text));
  return plan;
}

}  // namespace pgweir::tools::userlist
