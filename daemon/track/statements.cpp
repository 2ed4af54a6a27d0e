#include "track/statements.hpp"

namespace pgweir::track {

Statement::~Statement() {
  registry_->forget(*this);
}

StatementPtr StatementRegistry::find_or_make(ByteView body) {
  std::lock_guard lock(mutex_);
  auto found = by_body_.find(body);
  if (found != by_body_.end()) {
    if (StatementPtr known = found->second.lock()) return known;
    by_body_.erase(found);  // its last user is just letting it go
  }
  auto statement = std::make_shared<const Statement>(this, next_++, std::string(body));
  by_body_.emplace(statement->body(), statement);
  return statement;
}

void StatementRegistry::forget(const Statement& statement) {
  std::lock_guard lock(mutex_);
  auto found = by_body_.find(statement.body());
  // Only its own entry: a successor with the same text may stand there already.
  if (found != by_body_.end() && found->first.data() == statement.body().data()) by_body_.erase(found);
}

void StatementRegistry::retire(const Statement& statement) {
  forget(statement);
  statement.retired_.store(true, std::memory_order_relaxed);
}

size_t StatementRegistry::size() const {
  std::lock_guard lock(mutex_);
  return by_body_.size();
}

const StatementPtr* ClientStatements::find(ByteView name) const {
  if (!names_) return nullptr;
  auto found = names_->find(name);
  return found == names_->end() ? nullptr : &found->second;
}

void ClientStatements::add(ByteView name, StatementPtr statement) {
  if (!names_) names_ = std::make_unique<Names>();
  names_->insert_or_assign(std::string(name), std::move(statement));
}

void ClientStatements::remove(ByteView name) {
  if (!names_) return;
  auto found = names_->find(name);
  if (found != names_->end()) names_->erase(found);
  if (names_->empty()) names_.reset();
}

ServerStatements::Item* ServerStatements::find(const Statement& statement) const {
  if (!state_) return nullptr;
  auto found = state_->by_number.find(statement.number());
  return found == state_->by_number.end() ? nullptr : &*found->second;
}

ServerStatements::Use ServerStatements::use(const Statement& statement, uint64_t batch) {
  if (!state_) return {};
  auto found = state_->by_number.find(statement.number());
  if (found == state_->by_number.end()) return {};
  Item& item = *found->second;
  bool sure = item.presence == Presence::kConfirmed || (item.presence == Presence::kSent && item.parsed_in == batch);
  if (!sure) return {};
  item.batch = batch;
  state_->order.splice(state_->order.end(), state_->order, found->second);
  return {true, item.verified};
}

void ServerStatements::verified(const Statement& statement) {
  if (Item* item = find(statement)) item->verified = true;
}

bool ServerStatements::confirmed(const Statement& statement) const {
  const Item* item = find(statement);
  return item && item->presence == Presence::kConfirmed;
}

StatementPtr ServerStatements::find(uint64_t number) const {
  if (!state_) return nullptr;
  auto found = state_->by_number.find(number);
  return found == state_->by_number.end() ? nullptr : found->second->statement;
}

bool ServerStatements::in_doubt(const Statement& statement) const {
  if (!state_) return false;
  if (const Item* item = find(statement)) return item->presence != Presence::kConfirmed;
  return state_->closing.contains(statement.number());
}

void ServerStatements::sent(StatementPtr statement, uint64_t batch) {
  if (!state_) state_ = std::make_unique<State>();
  if (Item* item = find(*statement)) {
    item->presence = Presence::kSent;
    item->batch = item->parsed_in = batch;
    item->sent_again = true;
    item->verified = false;
    ++item->under_way;
    return;
  }
  uint64_t number = statement->number();
  state_->order.push_back({std::move(statement), batch, batch, 1});
  state_->by_number[number] = std::prev(state_->order.end());
}

void ServerStatements::confirm(const Statement& statement) {
  Item* item = find(statement);
  if (!item) return;
  if (item->under_way > 0) --item->under_way;
  // With another Parse under way behind a Close, only that one's answer counts.
  if (item->under_way == 0) item->presence = Presence::kConfirmed;
}

void ServerStatements::remove(const Statement& statement) {
  Item* item = find(statement);
  if (!item) return;
  if (item->under_way > 0) --item->under_way;
  if (item->under_way > 0) return;
  if (item->sent_again) {
    item->presence = Presence::kDoubtful;
    return;
  }
  auto found = state_->by_number.find(statement.number());
  state_->order.erase(found->second);
  state_->by_number.erase(found);
}

void ServerStatements::closed(const Statement& statement) {
  if (!state_) return;
  auto found = state_->closing.find(statement.number());
  if (found != state_->closing.end() && --found->second == 0) state_->closing.erase(found);
}

void ServerStatements::not_closed(const StatementPtr& statement) {
  closed(*statement);
  if (Item* again = find(*statement)) {  // sent again meanwhile, behind a Close of its own
    again->sent_again = true;            // should that batch fail too, the old one is still there
    return;
  }
  sent(statement, 0);
  Item* item = find(*statement);
  item->under_way = 0;
  item->presence = Presence::kDoubtful;
  item->sent_again = true;
}

bool ServerStatements::give_up(const Statement& statement) {
  const Item* item = find(statement);
  if (!item || item->presence != Presence::kConfirmed) return false;
  auto found = state_->by_number.find(statement.number());
  state_->order.erase(found->second);
  state_->by_number.erase(found);
  ++state_->closing[statement.number()];
  return true;
}

StatementPtr ServerStatements::evict(size_t most, uint64_t batch) {
  if (!state_ || state_->by_number.size() <= most) return nullptr;
  for (auto item = state_->order.begin(); item != state_->order.end(); ++item) {
    if (item->batch == batch || item->presence == Presence::kSent) continue;
    StatementPtr victim = std::move(item->statement);
    state_->by_number.erase(victim->number());
    state_->order.erase(item);
    ++state_->closing[victim->number()];
    return victim;
  }
  return nullptr;
}

}  // namespace pgweir::track
