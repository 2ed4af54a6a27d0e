// Breaks one message of a server's stream, once a connection, in a way that a pooler can notice by the protocol alone:
// types, lengths, statuses, order. Never the payload of a row: who changes that is believed, by every pooler.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace chaos {

class Corruptor {
 public:
  // `after`: so many messages of a logged-in server pass before one is broken; 0: none is. `login`: break the login
  // instead, at its first message.
  void arm(uint64_t seed, uint64_t after, bool login);

  // Bytes of the server; returns what is to be passed on.
  std::string feed(const std::string& bytes);

  bool done() const { return done_; }
  const std::string& what() const { return what_; }

 private:
  bool next(size_t at, size_t* size) const;
  bool break_here(size_t at, size_t size, std::string& out);
  bool break_order(size_t at, size_t size, std::string& out);
  bool break_type(size_t at, size_t size, std::string& out);

  std::string held_;  // an incomplete message
  std::mt19937_64 random_;
  uint64_t left_ = 0;
  bool login_ = false;
  bool logged_in_ = false;
  bool done_ = true;
  char previous_ = 0;   // the type of the message before
  size_t swallow_ = 0;  // bytes of the message behind, which has been sent already
  std::string what_;
};

}  // namespace chaos
