// What the user looks at, and what a key does to it: a key and a picture in, a new state and perhaps a request out.
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/top/model.hpp"

namespace pgweir::tools::top {

enum class Page { kPools, kDatabases, kWorkers, kProblems, kPool, kHelp };
enum class Sort { kWorst, kName, kServers, kClients, kWaiting, kLongest };  // of pools
enum class ClientSort { kState, kWait, kAddress, kApplication, kId };       // of a pool's clients
inline constexpr int kSorts = 6;
inline constexpr int kClientSorts = 5;
const char* sort_word(Sort sort);
const char* sort_word(ClientSort sort);
std::optional<Sort> sort_of(std::string_view word);

// A command of the console that waits for a yes.
struct Question {
  std::string text;
  std::string command;
};

struct Ui {
  Page page = Page::kPools;
  Page back = Page::kPools;  // from a pool, or from the help
  Sort sort = Sort::kWorst;
  ClientSort client_sort = ClientSort::kState;
  bool reverse = false;
  std::string filter;
  bool typing = false;        // the filter is being typed
  std::string selected;       // the key of a row
  size_t selected_place = 0;  // where it was seen last: what lies there is selected when it is gone
  std::string pool_database;  // of Page::kPool
  std::string pool_user;
  std::optional<Question> question;
  std::string message;  // shown until the next key
  Level message_level = Level::kGreen;
  std::string running;  // the command that has not been answered yet
  bool frozen = false;
  // Not changed by keys.
  bool ascii = false;
  std::string where;  // the console's address
  double interval = 2;
};

// A key: a character of UTF-8, or one of these.
namespace key {
inline constexpr const char* kUp = "<up>";
inline constexpr const char* kDown = "<down>";
inline constexpr const char* kPageUp = "<pgup>";
inline constexpr const char* kPageDown = "<pgdn>";
inline constexpr const char* kHome = "<home>";
inline constexpr const char* kEnd = "<end>";
inline constexpr const char* kEnter = "<enter>";
inline constexpr const char* kEscape = "<esc>";
inline constexpr const char* kBackspace = "<bs>";
}  // namespace key

struct Request {
  enum class Kind { kNone, kQuit, kSample, kCommand } kind = Kind::kNone;
  std::string command;
};

Request press(Ui& ui, const std::string& key, const Picture& picture);

// What the page lists, filtered and sorted.
std::vector<const Pool*> shown_pools(const Ui& ui, const Picture& picture);
std::vector<const Database*> shown_databases(const Ui& ui, const Picture& picture);
std::vector<Row> shown_clients(const Ui& ui, const Picture& picture);  // of the pool that is looked into
std::vector<Row> shown_servers(const Ui& ui, const Picture& picture);

// The keys of the rows that can be selected on this page, and which of them is; 0 when there are none.
std::vector<std::string> row_keys(const Ui& ui, const Picture& picture);
size_t selected_row(const Ui& ui, const std::vector<std::string>& keys);

// A name as an argument of a console command.
std::string console_name(std::string_view name);

}  // namespace pgweir::tools::top
