#include "corrupt.hpp"

#include <cstring>

#include "harness.hpp"

namespace chaos {

namespace {

const std::string kParseComplete("1\0\0\0\4", 5);

bool one_of(char type, const char* types) {
  return type != 0 && std::strchr(types, type) != nullptr;
}

}  // namespace

void Corruptor::arm(uint64_t seed, uint64_t after, bool login) {
  random_.seed(seed);
  left_ = after;
  login_ = login;
  done_ = after == 0 && !login;
}

bool Corruptor::next(size_t at, size_t* size) const {
  if (held_.size() - at < 5) return false;
  *size = size_t{1} + get32(held_.data() + at + 1);
  return held_.size() - at >= *size;
}

std::string Corruptor::feed(const std::string& bytes) {
  if (done_ && held_.empty()) return bytes;
  held_ += bytes;
  std::string out;
  size_t at = 0;
  size_t size = 0;
  while (!done_ && next(at, &size)) {
    bool ready = held_[at] == 'Z';
    bool due = logged_in_ ? --left_ == 0 : login_;
    if (due) {
      if (break_here(at, size, out)) {
        done_ = true;
        at += swallow_;
      } else {
        left_ = 1;  // the next one, then
        out.append(held_, at, size);
      }
    } else {
      out.append(held_, at, size);
    }
    previous_ = held_[at - (done_ ? swallow_ : 0)];
    at += size;
    logged_in_ = logged_in_ || ready;
  }
  if (done_) {
    out.append(held_, at, std::string::npos);
    held_.clear();
  } else {
    held_.erase(0, at);
  }
  return out;
}

bool Corruptor::break_here(size_t at, size_t size, std::string& out) {
  char type = held_[at];
  switch (logged_in_ ? random_() % 5 : random_() % 2) {
    case 0: {  // a type that no server sends to a logged-in client
      static const char kUnknown[] = {'\0', 'q', 'K', 'R', 'v', '\x7f', '\xff', 'Q', 'P', '9'};
      bool login = !logged_in_;
      char other = login ? (random_() % 2 ? 'q' : '\0') : kUnknown[random_() % sizeof kUnknown];
      out += other;
      out.append(held_, at + 1, size - 1);
      what_ = std::string("type ") + type + " unknown";
      return true;
    }
    case 1: {  // a length that cannot be
      uint32_t length = static_cast<uint32_t>(random_() % 4);
      if (random_() % 2) length = 0x80000000U | static_cast<uint32_t>(random_());
      out += type;
      put32(out, length);
      out.append(held_, at + 5, size - 5);
      what_ = std::string("length of ") + type;
      return true;
    }
    case 2: return break_order(at, size, out);
    default: return break_type(at, size, out);
  }
}

// What comes twice, too early, or not at all.
bool Corruptor::break_order(size_t at, size_t size, std::string& out) {
  char type = held_[at];
  size_t behind = 0;
  bool more = next(at + size, &behind);
  char following = more ? held_[at + size] : '\0';
  if (type == 'Z') {
    bool twice = random_() % 2;
    if (!twice) out += kParseComplete;
    out.append(held_, at, size);
    if (twice) out.append(held_, at, size);
    what_ = twice ? "ReadyForQuery twice" : "a spare ParseComplete";
    return true;
  }
  bool swaps = (type == '2' && one_of(following, "TnDCI")) || (type == '1' && following == '2') ||
               (type == 'C' && following == 'Z' && one_of(previous_, "TD"));
  if (!swaps) return false;
  bool drop = type == '2' && random_() % 2;
  out.append(held_, at + size, behind);
  if (!drop) out.append(held_, at, size);
  swallow_ = behind;
  what_ = std::string(drop ? "without " : "order of ") + type + " and " + following;
  return true;
}

// A type that exists but cannot be the answer here, and a status that is none.
bool Corruptor::break_type(size_t at, size_t size, std::string& out) {
  char type = held_[at];
  if (type == 'Z' && random_() % 2) {
    bool longer = random_() % 2;
    out += 'Z';
    put32(out, longer ? 6 : 5);
    out += longer ? "II" : "X";
    what_ = longer ? "long ReadyForQuery" : "status of ReadyForQuery";
    return true;
  }
  // An ErrorResponse may come in the place of any answer and so may what is owed by nobody (N, S, A): their types are
  // not changed into that of an answer, which could be the one that is awaited.
  if (!one_of(type, "123TtnDdCIZHGV")) return false;
  char other = static_cast<char>('1' + random_() % 3);
  if (other == type) other = type == '1' ? '2' : '1';
  out += other;
  out.append(held_, at + 1, size - 1);
  what_ = std::string("type ") + type + " becomes " + other;
  return true;
}

}  // namespace chaos
