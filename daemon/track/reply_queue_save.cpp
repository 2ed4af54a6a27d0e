// The ledger written down and read back (DESIGN, section 7). Layout: version, flags, two counts, then the entries in
// order. Not a wire format: both ends are pgweir, but what is read is checked all the same.
#include "track/reply_queue.hpp"
#include "track/statements.hpp"
#include "wire/reader.hpp"

namespace pgweir::track {

namespace {

constexpr uint8_t kVersion = 1;
enum Flag : uint8_t { kOpenBatch = 1, kSkipping = 2, kCopyIn = 4, kCopyEndSent = 8, kAllowCopyBoth = 16 };
enum EntryFlag : uint8_t { kBegun = 1, kNoted = 2, kHasStatement = 4, kSent = 8, kFinished = 16 };
constexpr unsigned kDoomShift = 5;  // two bits of an entry's flags

void append_text(std::string& out, ByteView text) {
  append_be32(out, static_cast<uint32_t>(text.size()));
  out.append(text);
}

NotePtr read_note(wire::Reader& reader, uint8_t flags, StatementRegistry& registry) {
  if (!(flags & kNoted)) return nullptr;
  auto note = std::make_unique<StatementNote>();
  note->sent = (flags & kSent) != 0;
  note->doom = static_cast<Doom>((flags >> kDoomShift) & 3);
  note->client_name = reader.bytes(reader.u32());
  if (!(flags & kHasStatement)) return note;
  ByteView body = reader.bytes(reader.u32());
  if (reader.ok()) note->statement = registry.find_or_make(body);
  return note;
}

}  // namespace

void ReplyQueue::save_entry(const Entry& entry, std::string& out) const {
  uint8_t flags = entry.begun ? kBegun : 0;
  if (entry.finished) flags |= kFinished;
  if (entry.note) {
    flags |= kNoted;
    if (entry.note->sent) flags |= kSent;
    if (entry.note->statement) flags |= kHasStatement;
    flags |= static_cast<uint8_t>(static_cast<unsigned>(entry.note->doom) << kDoomShift);
  }
  out.push_back(static_cast<char>(entry.kind));
  out.push_back(static_cast<char>(entry.action));
  out.push_back(static_cast<char>(flags));
  if (!entry.note) return;
  append_text(out, entry.note->client_name);
  if (entry.note->statement) append_text(out, entry.note->statement->body());
}

void ReplyQueue::save(std::string& out) const {
  uint8_t flags = 0;
  if (open_batch_) flags |= kOpenBatch;
  if (skipping_) flags |= kSkipping;
  if (copy_in_) flags |= kCopyIn;
  if (copy_end_sent_) flags |= kCopyEndSent;
  if (allow_copy_both_) flags |= kAllowCopyBoth;
  out.push_back(static_cast<char>(kVersion));
  out.push_back(static_cast<char>(flags));
  append_be32(out, copy_syncs_);
  append_be32(out, spare_readies_);
  append_be32(out, static_cast<uint32_t>(count_));
  for (size_t index = 0; index < count_; ++index)
    save_entry(at(index), out);
}

bool ReplyQueue::restore(ByteView saved, StatementRegistry& registry) {
  clear();
  wire::Reader reader(saved);
  bool known = reader.u8() == kVersion;
  uint8_t flags = reader.u8();
  copy_syncs_ = reader.u32();
  spare_readies_ = reader.u32();
  uint32_t count = reader.u32();
  for (uint32_t index = 0; known && reader.ok() && index < count; ++index) {
    uint8_t kind = reader.u8();
    uint8_t action = reader.u8();
    uint8_t entry_flags = reader.u8();
    NotePtr note = read_note(reader, entry_flags, registry);
    known = kind <= static_cast<uint8_t>(Kind::kCopyBoth) && action <= static_cast<uint8_t>(Action::kLocal);
    if (!known || !reader.ok()) break;
    push(static_cast<Kind>(kind), static_cast<Action>(action), std::move(note));
    at(count_ - 1).begun = (entry_flags & kBegun) != 0;
    at(count_ - 1).finished = (entry_flags & kFinished) != 0;
  }
  if (!known || !reader.at_end()) {
    clear();
    return false;
  }
  open_batch_ = (flags & kOpenBatch) != 0;
  skipping_ = (flags & kSkipping) != 0;
  copy_in_ = (flags & kCopyIn) != 0;
  copy_end_sent_ = (flags & kCopyEndSent) != 0;
  allow_copy_both_ = (flags & kAllowCopyBoth) != 0;
  return true;
}

}  // namespace pgweir::track
