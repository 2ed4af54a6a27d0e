// The ini, its entries and the checks: whatever is in the text, a snapshot or errors come out, with their lines; names
// and values go through iniparser unchanged; what was loaded can be shown, compared and set again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "settings/connstr.hpp"
#include "settings/load.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

void check_items(const std::string& text) {
  const Ini ini = parse_ini(text, "f");
  int line = 0;
  for (const IniItem& item : ini.items) {
    if (item.line < line) std::abort();  // in the order of the file
    line = item.line;
    if (text.find(item.name) == std::string::npos || text.find(item.value) == std::string::npos) std::abort();
  }
  for (const Problem& problem : ini.errors)
    if (problem.line <= 0 || problem.text.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // Files are no matter of this fuzzer: the same inputs must mean the same everywhere.
  for (const char* word : {"%include", "_file", "_hba"})
    if (text.find(word) != std::string::npos) return 0;
  check_items(text);
  const LoadResult loaded = load_text(text, "f");
  if ((loaded.snapshot == nullptr) == loaded.errors.empty()) std::abort();
  for (const Problem& problem : loaded.errors)
    if (describe(problem).empty()) std::abort();
  (void)parse_pairs(text).ok();
  if (!loaded.snapshot) return 0;
  const Difference none = diff(*loaded.snapshot, *loaded.snapshot);
  if (!none.settings.empty() || !none.changed.empty() || none.users || none.peers) std::abort();
  for (const ConfigRow& row : show_config(*loaded.snapshot)) {
    const Row* setting = find_row(row.key);
    if (!setting) std::abort();
    // What is shown can be set again (times lose digits: %g).
    if (row.value && setting->kind != Kind::kText && setting->kind != Kind::kTime) {
      Global again = loaded.snapshot->global;
      if (!assign(again, *setting, *row.value) || show(again, *setting) != row.value) std::abort();
    }
  }
  return 0;
}

}  // namespace pgweir::settings
