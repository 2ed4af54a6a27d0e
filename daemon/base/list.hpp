// A doubly linked list whose links live in the elements: no allocation, O(1) removal, an element is in at most one
// list per hook. The list does not own its elements; a hook unlinks itself when its element dies.
#pragma once

#include <cstddef>

namespace pgweir {

// A place in a list. Derive from Hook<Tag> (a tag of your own allows several lists at a time).
template <class Tag = void>
class Hook {
 public:
  Hook() = default;
  Hook(const Hook&) = delete;
  Hook& operator=(const Hook&) = delete;
  ~Hook() { unlink(); }

  bool linked() const { return next_ != this; }

  void unlink() {
    if (!linked()) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = this;
    if (size_) --*size_;
    size_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class List;
  Hook* next_ = this;
  Hook* prev_ = this;
  size_t* size_ = nullptr;  // the owning list's count
};

template <class T, class Tag = void>
class List {
 public:
  using Link = Hook<Tag>;

  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty())
      head_.next_->unlink();
  }

  bool empty() const { return !head_.linked(); }
  size_t size() const { return size_; }

  // From whatever list it is in to the end (the beginning) of this one, also when it is in this one already.
  void push_back(T& item) { insert_before(&head_, item); }
  void push_front(T& item) { insert_before(head_.next_, item); }

  T* front() { return empty() ? nullptr : owner(head_.next_); }
  T* back() { return empty() ? nullptr : owner(head_.prev_); }
  const T* front() const { return empty() ? nullptr : owner(head_.next_); }
  const T* back() const { return empty() ? nullptr : owner(head_.prev_); }

  // The element after `item`, or null at the end. Take it before unlinking `item`.
  T* next(const T& item) const {
    auto* after = static_cast<const Link&>(item).next_;
    return after == &head_ ? nullptr : owner(after);
  }

  // The element before `item`, or null at the start.
  T* previous(const T& item) const {
    auto* before = static_cast<const Link&>(item).prev_;
    return before == &head_ ? nullptr : owner(before);
  }

  T* pop_front() {
    T* item = front();
    if (item) static_cast<Link&>(*item).unlink();
    return item;
  }
  T* pop_back() {
    T* item = back();
    if (item) static_cast<Link&>(*item).unlink();
    return item;
  }

 private:
  static T* owner(Link* link) { return static_cast<T*>(link); }
  static const T* owner(const Link* link) { return static_cast<const T*>(link); }

  void insert_before(Link* place, T& item) {
    Link& link = item;
    if (place == &link) place = link.next_;  // its own place goes with it
    link.unlink();
    link.next_ = place;
    link.prev_ = place->prev_;
    place->prev_->next_ = &link;
    place->prev_ = &link;
    link.size_ = &size_;
    ++size_;
  }

  Link head_;
  size_t size_ = 0;
};

}  // namespace pgweir
