// Parameters of a connection: the tracked ones, which servers report, and other settings that a client asked for at
// startup. A client's values are brought to its server at attach, only what differs. Names are case-insensitive.
// compat/wire.md sections 3 to 5.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace pgweir::track {

// Names and their order of announcement: DateStyle, client_encoding, TimeZone, standard_conforming_strings,
// application_name, then track_extra_parameters. Fixed for the life of the process.
class TrackedNames {
 public:
  static constexpr size_t kNone = SIZE_MAX;
  explicit TrackedNames(const std::vector<std::string>& extra);
  size_t find(ByteView name) const;  // kNone: not tracked
  const std::string& name(size_t index) const { return names_[index]; }
  size_t size() const { return names_.size(); }

 private:
  std::vector<std::string> names_;
};

using TrackedPtr = std::shared_ptr<const TrackedNames>;
using Value = std::shared_ptr<const std::string>;  // null: unset

// Same text for all who hold it, and the same list of texts for all clients of a worker and pool that have the same
// (SharedSets): most connections have the same few values. A copy of a set has a list of its own.
class ParameterSet {
 public:
  ParameterSet() = default;
  ParameterSet(const ParameterSet& other);
  ParameterSet& operator=(const ParameterSet& other);
  ParameterSet(ParameterSet&&) noexcept = default;
  ParameterSet& operator=(ParameterSet&&) noexcept = default;
  ~ParameterSet() = default;

  void init(TrackedPtr names) { names_ = std::move(names); }
  const TrackedNames* names() const { return names_.get(); }
  const TrackedPtr& shared_names() const { return names_; }

  // A tracked parameter; false when that name is not tracked.
  bool set(ByteView name, ByteView value);
  void set_value(size_t index, Value value);
  // The same text in another place: for all that share the list.
  void move_value(size_t index, Value value) { (*values_)[index] = std::move(value); }
  const Value& value(size_t index) const;
  Value value(ByteView name) const;

  // Settings beside the tracked ones: of a client, what it wants; of a server, what was applied for one.
  using Extras = std::vector<std::pair<std::string, std::string>>;
  void set_extra(ByteView name, ByteView value);
  const Extras* extras() const { return extras_.get(); }
  const std::shared_ptr<const Extras>& shared_extras() const { return extras_; }
  void set_extras(std::shared_ptr<const Extras> extras) { extras_ = std::move(extras); }
  // Of a server: a client has reset some of them, nobody knows which. The next client gets its own, or a RESET.
  void doubt_extras();
  // Of a server: the client with that id has run a SET, of what nobody knows. It may keep what it set; to the next
  // other client the extras are in doubt.
  static constexpr uint32_t kSomebody = UINT32_MAX;  // whose SET it was is not known
  void note_set(uint32_t client_id) { set_by_ = client_id; }
  // Of a server: it works for that client from now on. To be called before its parameters are compared with the
  // client's.
  void begin_for(uint32_t client_id) {
    if (set_by_ == 0 || set_by_ == client_id) return;
    doubt_extras();
    set_by_ = 0;
  }

  // Whether `server` has all that this one wants, by the very same texts: a few comparisons of pointers, and never true
  // of texts that differ. Sets that are equal but share nothing yet get false.
  bool satisfied_by(const ParameterSet& server) const {
    if (extras_ != server.extras_) return false;
    if (!values_) return true;
    const size_t known = server.values_ ? server.values_->size() : 0;
    for (size_t index = 0; index < values_->size(); ++index) {
      const Value& wanted = (*values_)[index];
      if (wanted && (index >= known || wanted != (*server.values_)[index])) return false;
    }
    return true;
  }

 private:
  friend class SharedSets;
  using Values = std::vector<Value>;
  TrackedPtr names_;
  std::shared_ptr<Values> values_;  // null while nothing is set; shared with others of this thread only
  std::shared_ptr<const Extras> extras_;
  uint32_t set_by_ = 0;  // of a server: the client that may have set extras since they were applied; 0: none
};

// What the clients before had, of one worker and pool: a client with the same values shares their list, which spares it
// a hundred bytes. Remembers the last few different lists that somebody still has.
class SharedSets {
 public:
  void share(ParameterSet& client);

 private:
  std::array<std::weak_ptr<ParameterSet::Values>, 4> recent_;
  size_t next_ = 0;
};

// The text of one simple query, "SET k='v';...", that brings `server` to what `client` wants, or empty. Extras that
// were applied for another client and are not wanted now are RESET. Notes what it asks for in `server`. Where both have
// the same text in two places they share one of them afterwards, always the one at the lower address: so all
// connections that meet end with one text, and satisfied_by() tells the next time.
std::string replay(ParameterSet& client, ParameterSet& server);

// A server's CommandComplete (its body): RESET and DISCARD ALL end what was applied beside the tracked parameters, SET
// may have changed it. `by`: the id of the client whose command it was, or kSomebody. ROLLBACK needs no such care: what
// it takes back was noted when it was done, and an attach never applies anything inside a transaction.
void note_command(ParameterSet& server, ByteView command_complete, uint32_t by);

// "name=value" of everything that is set, names in lower case: what has to be accepted by a server before it can be
// replayed without waiting for the answer.
std::vector<std::string> settings_of(const ParameterSet& parameters);

// 'value' or E'va\\lue'.
std::string quote_literal(ByteView value);

}  // namespace pgweir::track
