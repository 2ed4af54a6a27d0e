// The words of pgweir-check: phases, dimensions, what a test says, and the row that each test is.
// A test is a function of the Context that returns an Outcome; all that is fixed about it stands in its row.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::tools::check {

class Context;

enum class Phase { kPrerequisites, kConnectivity, kConfiguration, kFunctionality, kPerformance, kSecurity };
inline constexpr int kPhases = 6;
const char* word_of(Phase phase);

// What the quality score is made of. kCompleteness has no tests of its own: it tells how much was tested.
enum class Dimension { kCorrectness, kPerformance, kSecurity, kOperability, kCompleteness };
inline constexpr int kDimensions = 5;
const char* word_of(Dimension dimension);

enum class Status {
  kPass,
  kWarn,     // it works, with something to mend
  kFail,     // it is not as it should be
  kBlocked,  // it could not be tested, because of what another test tells
  kSkip,     // it does not apply to this installation
  kUnasked,  // not selected, or it disturbs clients and nobody has allowed that
};
inline constexpr int kStatuses = 6;
const char* word_of(Status status);

struct Outcome {
  Status status = Status::kPass;
  std::string reason;  // what was found, in a sentence
  std::string remedy;  // what to do; empty: the row's
};
Outcome pass(std::string reason);
Outcome warn(std::string reason, std::string remedy = {});
Outcome fail(std::string reason, std::string remedy = {});
Outcome blocked(std::string reason, std::string remedy = {});
Outcome skip(std::string reason);

// What must be there before a test makes sense; the runner sees to it.
inline constexpr unsigned kIni = 1;      // the ini file could be read and is valid
inline constexpr unsigned kPool = 2;     // a client connection through pgweir can be made
inline constexpr unsigned kDirect = 4;   // one to PostgreSQL
inline constexpr unsigned kConsole = 8;  // and one to the console

struct Test {
  const char* id;
  Phase phase;
  Dimension dimension;
  int weight;  // 1 to 3
  unsigned needs;
  bool disturbs;     // clients may feel it
  const char* what;  // one line, for --list and the manual
  const char* remedy;
  Outcome (*run)(Context& context);
};

// All tests, phase by phase, in the order in which they run.
std::span<const Test> tests();

struct Done {
  const Test* test = nullptr;
  Outcome outcome;
  long long milliseconds = 0;
};

}  // namespace pgweir::tools::check
