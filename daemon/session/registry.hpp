// Who owns the connections of one worker: a vector of unique_ptr with O(1) removal. `remove` hands the object out; the
// caller puts it into the graveyard, which is emptied after the batch of events.
#pragma once

#include <memory>
#include <utility>
#include <vector>

namespace pgweir::session {

template <class T>
class Registry {
 public:
  T& add(std::unique_ptr<T> item) {
    item->registry_index = static_cast<uint32_t>(items_.size());
    items_.push_back(std::move(item));
    return *items_.back();
  }

  std::unique_ptr<T> remove(T& item) {
    uint32_t at = item.registry_index;
    std::unique_ptr<T> out = std::move(items_[at]);
    if (at + 1 != items_.size()) {
      items_[at] = std::move(items_.back());
      items_[at]->registry_index = at;
    }
    items_.pop_back();
    return out;
  }

  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  T& operator[](size_t at) const { return *items_[at]; }

 private:
  std::vector<std::unique_ptr<T>> items_;
};

}  // namespace pgweir::session
