// Result<T>: a value, or an Error with a text that a person can act on.
// Promises: no exceptions of its own; reading the wrong side is a programming error (asserted).
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace pgweir {

// What went wrong, in a sentence. `sqlstate` is set where a client will be told (five characters), else empty.
struct Error {
  std::string message;
  std::string sqlstate = {};
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() {
    assert(ok());
    return std::get<0>(held_);
  }
  const T& value() const {
    assert(ok());
    return std::get<0>(held_);
  }
  T take() {
    assert(ok());
    return std::move(std::get<0>(held_));
  }
  const Error& error() const {
    assert(!ok());
    return std::get<1>(held_);
  }

  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> held_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    assert(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace pgweir
