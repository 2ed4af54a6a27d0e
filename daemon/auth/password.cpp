// Cleartext comparison and the preparation of passwords.
#include "auth/password.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "auth/digest.hpp"
#include "auth/md5.hpp"
#include "auth/scram.hpp"

namespace pgweir::auth {

namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// RFC 3454, tables C.1.2, B.1, and the tables that RFC 4013 section 2.3 prohibits (C.1.2, C.2.1 to C.9).
constexpr Range kSpaces[] = {{0x00A0, 0x00A0}, {0x1680, 0x1680}, {0x2000, 0x200B},
                             {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
constexpr Range kNothing[] = {{0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x1806, 0x1806}, {0x180B, 0x180D},
                              {0x200B, 0x200D}, {0x2060, 0x2060}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};
constexpr Range kProhibited[] = {
    {0x0000, 0x001F},   {0x007F, 0x00A0},   {0x0340, 0x0341},   {0x06DD, 0x06DD},   {0x070F, 0x070F},
    {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x2063},
    {0x206A, 0x206F},   {0x2FF0, 0x2FFB},   {0x3000, 0x3000},   {0xD800, 0xF8FF},   {0xFDD0, 0xFDEF},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFF},   {0x1D173, 0x1D17A}, {0x1FFFE, 0x1FFFF}, {0x2FFFE, 0x2FFFF},
    {0x3FFFE, 0x3FFFF}, {0x4FFFE, 0x4FFFF}, {0x5FFFE, 0x5FFFF}, {0x6FFFE, 0x6FFFF}, {0x7FFFE, 0x7FFFF},
    {0x8FFFE, 0x8FFFF}, {0x9FFFE, 0x9FFFF}, {0xAFFFE, 0xAFFFF}, {0xBFFFE, 0xBFFFF}, {0xCFFFE, 0xCFFFF},
    {0xDFFFE, 0xDFFFF}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F}, {0xEFFFE, 0x10FFFF}};

template <size_t N>
bool in(const Range (&table)[N], char32_t code) {
  return std::any_of(std::begin(table), std::end(table),
                     [code](Range range) { return code >= range.first && code <= range.last; });
}

struct CodePoint {
  char32_t code;
  size_t size;
};

// The first code point of `text`, which is not empty. Nothing when it is not well-formed UTF-8 (RFC 3629).
std::optional<CodePoint> decode(ByteView text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return CodePoint{lead, 1};
  const size_t size = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (size == 0 || text.size() < size) return std::nullopt;
  char32_t code = lead & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (next & 0x3Fu);
  }
  static constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
  return CodePoint{code, size};
}

bool is_ascii(ByteView text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

// Compares without telling the length of the stored one.
bool same_password(ByteView a, ByteView b) {
  SecretBytes left(sha256(a));
  SecretBytes right(sha256(b));
  return same_secret(left.view(), right.view());
}

// Spends what a SCRAM comparison costs; the result fits nothing.
void spend(ByteView password, uint32_t iterations) {
  if (iterations == 0 || iterations > kMaxScramIterations) return;
  static constexpr char kSalt[kScramSaltSize + 1] = "pgweir mock salt";
  SecretBytes nothing(pbkdf2_sha256(password, ByteView(kSalt, kScramSaltSize), iterations));
}

bool verify_scram(const Secret& secret, ByteView password) {
  auto stored = parse_scram_verifier(secret.text());
  if (!stored) return false;
  auto derived = derive_scram_verifier(password, stored->salt, stored->iterations);
  return derived.ok() && same_secret(derived->stored_key.view(), stored->stored_key.view());
}

}  // namespace

bool verify_password(const Secret& secret, ByteView user, ByteView password, uint32_t mock_iterations) {
  if (password.empty()) return false;
  if (secret.kind() == SecretKind::kScram) return verify_scram(secret, password);
  spend(password, mock_iterations);
  const bool md5 = secret.kind() == SecretKind::kMd5;
  SecretBytes hashed(md5_secret(password, user));
  const bool equal = same_password(secret.text(), md5 ? hashed.view() : password);
  return equal && secret.kind() != SecretKind::kNone && (!md5 || !hashed.empty());
}

std::string saslprep(ByteView password) {
  std::string raw(password);
  if (is_ascii(password)) return raw;
  std::string out;
  out.reserve(password.size());
  bool usable = true;
  while (usable && !password.empty()) {
    auto point = decode(password);
    usable = point.has_value();
    if (!usable) break;
    if (in(kSpaces, point->code)) {
      out.push_back(' ');
    } else if (!in(kNothing, point->code)) {
      usable = !in(kProhibited, point->code);
      out.append(password.substr(0, point->size));
    }
    password.remove_prefix(point->size);
  }
  if (usable && !out.empty()) raw.swap(out);
  wipe(out);
  return raw;
}

}  // namespace pgweir::auth
