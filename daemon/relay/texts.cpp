// The texts of queries, for the lines about slow ones (log_slow_texts).
#include "relay/relay.hpp"
#include "session/slow.hpp"

namespace pgweir::relay {

using session::Client;

namespace {

constexpr size_t kMostSearched = size_t{64} * 1024;  // for words that tell of a secret

}  // namespace

// Notes what the message says of the query that it belongs to. Returns how many bytes of it must be there first; 0: it
// has been noted. A message that is seen again is noted again, which changes nothing: the first text of a query counts,
// and those that end one are never held behind this.
size_t Relay::note_text(Client& client, const Piece& piece, const wire::Header& header, const ClientRule& rule) {
  const size_t size = header.size();
  const session::Server& server = *client.server;
  session::note_message(hub_, client, server.replies.all_answered(), server.hidden_set);
  const bool ends = header.type == 'Q' || header.type == 'F' || rule.kind == track::Kind::kSync;
  if (header.type == 'Q' || header.type == 'P') {
    const size_t wanted = std::min(size, kMostSearched);
    if (piece.rest().size() < wanted) return wanted;
    ByteView body = piece.rest().substr(0, size).substr(wire::kHeaderSize);
    if (header.type == 'P') body.remove_prefix(std::min(body.find('\0'), body.size() - 1) + 1);
    session::note_text(client, body.substr(0, body.find('\0')));
  } else if (header.type == 'B') {
    track::BindNames names;
    const ByteView body = piece.rest().substr(wire::kHeaderSize);
    if (track::read_bind(body, size - wire::kHeaderSize, names) != track::Seen::kOk) return 0;
    const track::StatementPtr* known = client.statements.find(names.statement);
    const ByteView text = known                                      ? ByteView((*known)->body())
                          : client.extras && names.statement.empty() ? ByteView(client.extras->unnamed_query)
                                                                     : ByteView();
    if (!text.empty()) session::note_text(client, text.substr(0, text.find('\0')));
  }
  if (ends) session::note_sent(client);
  return 0;
}

}  // namespace pgweir::relay
