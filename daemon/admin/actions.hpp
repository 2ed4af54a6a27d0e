// The commands that do something: what is checked before the Director acts, and with which words it is refused
// (compat/console.md, section 4). Each logs "NAME command issued". The effects are admin::Operations'.
#pragma once

#include "admin/commands.hpp"

namespace pgweir::admin {

void do_show(const Call& call);
void do_set(const Call& call);
void do_reload(const Call& call);
void do_pause(const Call& call);
void do_resume(const Call& call);
void do_suspend(const Call& call);
void do_kill(const Call& call);
void do_kill_client(const Call& call);
void do_reconnect(const Call& call);
void do_wait_close(const Call& call);
void do_disable(const Call& call);
void do_enable(const Call& call);
void do_shutdown(const Call& call);

// SHUTDOWN's argument in any case; false: no such kind.
bool shutdown_kind(std::string_view argument, Shutdown& kind);

}  // namespace pgweir::admin
