// The record grammar of auth_file.
#include "auth/userlist.hpp"

#include <algorithm>
#include <map>

#include <sys/stat.h>

#include "base/text.hpp"

namespace pgweir::auth {

namespace {

// Walks over the text and knows its line.
class Scanner {
 public:
  explicit Scanner(ByteView text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  int line() const { return line_; }
  size_t at() const { return at_; }

  void step() {
    if (text_[at_] == '\n') ++line_;
    ++at_;
  }

  void skip_blanks() {
    while (!at_end() && ByteView(" \t\r\n\v\f").find(peek()) != ByteView::npos)
      step();
  }

  void skip_until(char stop) {
    while (!at_end() && peek() != stop)
      step();
  }

  // A quoted field that starts here: its text, "" inside being one quote. Nothing when it does not start with a quote
  // or does not end.
  std::optional<std::string> quoted() {
    if (peek() != '"') return std::nullopt;
    step();
    std::string field;
    const size_t close = text_.find('"', at_);
    if (close != ByteView::npos) field.reserve(close - at_);
    while (!at_end()) {
      const char c = peek();
      step();
      if (c == '"' && peek() != '"') return field;
      if (c == '"') step();
      field.push_back(c);
    }
    wipe(field);
    return std::nullopt;
  }

 private:
  ByteView text_;
  size_t at_ = 0;
  int line_ = 1;
};

// One record from its opening quote on. `elsewhere`: the line of the secret when the name ends on another one, else 0.
// Error: the text of the complaint.
Result<UserRecord> read_record(Scanner& scanner, int& elsewhere) {
  UserRecord record;
  record.line = scanner.line();
  record.begin = scanner.at();
  auto name = scanner.quoted();
  if (!name) return Error{"broken auth file: a record must start with a quoted user name"};
  if (name->size() > kMaxUserName)
    return Error{cat("username too long in auth file (", name->size(), " bytes, at most ", kMaxUserName, ")")};
  if (name->find('\0') != std::string::npos) return Error{"broken auth file: NUL in a user name"};
  const int name_line = scanner.line();  // a name may have line feeds of its own
  scanner.skip_until('"');               // white space, or junk, may stand between
  elsewhere = scanner.line() == name_line ? 0 : scanner.line();
  auto secret = scanner.quoted();
  record.fields_end = scanner.at();
  if (!secret) return Error{cat("broken auth file: no quoted secret for user \"", *name, '"')};
  SecretBytes secret_bytes(std::move(*secret));  // wiped on every way out
  if (secret_bytes.size() > kMaxSecretText)
    return Error{cat("password too long in auth file (", secret_bytes.size(), " bytes, at most ", kMaxSecretText, ")")};
  if (secret_bytes.view().find('\0') != ByteView::npos) return Error{"broken auth file: NUL in a secret"};
  record.name = std::move(*name);
  record.secret = Secret(std::string(secret_bytes.view()));
  return record;
}

}  // namespace

UserlistText parse_userlist(ByteView text, const std::string& file) {
  UserlistText out;
  Scanner scanner(text);
  while (true) {
    scanner.skip_blanks();
    if (scanner.at_end()) return out;
    if (scanner.peek() != ';') {
      const int line = scanner.line();
      int elsewhere = 0;
      auto record = read_record(scanner, elsewhere);
      if (!record) {
        out.complaints.push_back({file, line, true, record.error().message});
        return out;
      }
      if (elsewhere != 0)
        out.complaints.push_back({file, line, false,
                                  cat("no secret behind user \"", record->name,
                                      "\" on the same line: the quoted text of line ", elsewhere, " is taken")});
      out.records.push_back(record.take());
      scanner.skip_until('\n');
      out.records.back().end = scanner.at() + (scanner.at_end() ? 0 : 1);
    }
    scanner.skip_until('\n');
  }
}

Userlist::Userlist(std::vector<UserRecord> records) {
  for (UserRecord& record : records)
    users_.insert_or_assign(std::move(record.name), std::move(record.secret));
  std::map<uint32_t, size_t> counts;
  for (const auto& [name, secret] : users_) {
    if (secret.kind() != SecretKind::kScram) continue;
    auto verifier = parse_scram_verifier(secret.text());
    if (verifier) ++counts[verifier->iterations];
  }
  auto most =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != counts.end()) scram_iterations_ = most->first;
}

const Secret* Userlist::find(ByteView name) const {
  auto found = users_.find(name);
  return found == users_.end() ? nullptr : &found->second;
}

std::string userlist_mode_warning(const std::string& path, unsigned mode) {
  if (!(mode & S_IROTH)) return {};
  static constexpr char kOctal[] = "01234567";
  const std::string digits = {'0', kOctal[mode >> 6 & 7], kOctal[mode >> 3 & 7], kOctal[mode & 7]};
  return cat("auth_file ", path, " may be read by every user of this machine (mode ", digits, "): run chmod 600 ",
             path);
}

Result<UserlistLoad> load_userlist(const std::string& path) {
  auto file = read_text_file(path);
  if (!file) return Error{cat("could not open auth_file ", path, ": ", file.error().message)};
  UserlistText parsed = parse_userlist(file->text, path);
  wipe(file->text);
  UserlistLoad out;
  std::string warning = userlist_mode_warning(path, file->mode);
  if (!warning.empty()) out.complaints.push_back({path, 0, false, std::move(warning)});
  out.complaints.insert(out.complaints.end(), parsed.complaints.begin(), parsed.complaints.end());
  out.users = std::make_shared<const Userlist>(std::move(parsed.records));
  return out;
}

}  // namespace pgweir::auth
