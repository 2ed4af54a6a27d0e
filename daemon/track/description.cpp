#include "track/description.hpp"

#include "wire/reader.hpp"

namespace pgweir::track {

namespace {

// FNV-1a, 64 bits.
class Print {
 public:
  void add(ByteView bytes) {
    for (char byte : bytes) {
      value_ ^= static_cast<unsigned char>(byte);
      value_ *= 0x100000001b3U;
    }
  }
  uint64_t value() const { return value_ > kNoColumns ? value_ : value_ + 2; }

 private:
  uint64_t value_ = 0xcbf29ce484222325U;
};

// Behind a column's name (protocol chapter, RowDescription): table 4, attribute 2, then type 4, size 2, modifier 4,
// then format 2.
constexpr size_t kBeforeType = 6;
constexpr size_t kType = 10;
constexpr size_t kBehindType = 2;

}  // namespace

uint64_t print_of_parameters(ByteView body) {
  Print print;
  print.add(body);
  return print.value();
}

uint64_t print_of_columns(ByteView body) {
  wire::Reader reader(body);
  Print print;
  print.add(reader.bytes(2));
  while (reader.ok() && !reader.at_end()) {
    ByteView name = reader.cstring();
    reader.bytes(kBeforeType);
    print.add(name);
    print.add(ByteView("\0", 1));
    print.add(reader.bytes(kType));
    reader.bytes(kBehindType);
  }
  return print.value();
}

uint64_t print_of_size(size_t size) {
  Print print;
  print.add(ByteView(reinterpret_cast<const char*>(&size), sizeof size));
  return print.value();
}

bool Description::same(std::atomic<uint64_t>& known, uint64_t told) {
  if (told == 0) return true;
  uint64_t before = 0;
  return known.compare_exchange_strong(before, told, std::memory_order_relaxed) || before == told;
}

}  // namespace pgweir::track
