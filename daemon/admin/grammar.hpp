// The console's grammar: one command a text, `WORD [WORD] [;]` or `SET key = value` (compat/console.md, section 3).
// Promises: exact error texts; nothing is guessed, no comment, no second statement. Does not: know which commands
// exist.
#pragma once

#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::admin {

inline constexpr char kConsoleError[] = "08P01";  // SQLSTATE of every console error but RELOAD's

struct Command {
  std::string word;      // upper case; SELECT has become SHOW
  std::string argument;  // as written, unquoted; of SET the key. Empty: none (PAUSE "" pauses everything)
  std::string value;     // of SET
  std::string text;      // the whole query as it came
};

// Error: "invalid command 'TEXT', use SHOW HELP;" or, over the size limits, "bad arguments".
Result<Command> parse_command(ByteView text);

// The error of a command that is well formed but does not exist, or has the wrong shape. Long texts are cut.
Error invalid_command(ByteView text);

}  // namespace pgweir::admin
