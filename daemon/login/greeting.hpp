// What a client is greeted with, as pure functions over its parameters and the pool's welcome.
#pragma once

#include <string>
#include <vector>

#include "pool/shared.hpp"
#include "track/parameters.hpp"

namespace pgweir::login {

// Tracked parameters that the client has not set itself get the pool's values (shared, not copied).
void fill_unset(track::ParameterSet& client, const track::ParameterSet& pool_values);

// Makes `welcome.fixed`, once its parameters are complete.
void prepare_greeting(pool::Welcome& welcome);

// AuthenticationOk; the parameters that are not tracked, in the server's order; the tracked ones, the client's values,
// in the order of their names. `client`: after fill_unset; `welcome`: prepared.
void append_greeting(std::string& out, const pool::Welcome& welcome, const track::ParameterSet& client);

// Tracked parameters that the client has set and that the pool's servers do not report (search_path before PostgreSQL
// 18) cannot be tracked: they become settings of the other kind, which are taken back before another client's turn.
void untrack_unreported(track::ParameterSet& client, const track::ParameterSet& pool_values);

}  // namespace pgweir::login
