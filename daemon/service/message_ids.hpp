// The journal's MESSAGE_ID of each kind of record: of every Event and of every close reason, in one table. An id never
// changes its meaning; `journalctl -x` shows the text that systemd/pgweir.catalog has for it (a test holds that each id
// has one). New ones: `systemd-id128 new`.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace pgweir::service {

// 32 hexadecimal digits; empty for a kind that is none.
std::string_view message_id(std::string_view kind);
// kind and id, sorted by kind.
const std::vector<std::pair<std::string_view, std::string_view>>& message_ids();

}  // namespace pgweir::service
