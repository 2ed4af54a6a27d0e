// What a client is told of a prepared statement: the types of its parameters, and its columns. Promises: two
// fingerprints that differ (but for one chance in 2^64) when a client that reads rows, or writes parameters, by one
// description would go wrong under the other. Where a column comes from (table, number) and its format do not count, as
// in PostgreSQL's own check (equalTupleDescs): a temporary table is another one in every session.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/bytes.hpp"

namespace pgweir::track {

// As fingerprints; 0: not told.
struct Told {
  uint64_t parameters = 0;
  uint64_t columns = 0;
};

// `body` of a ParameterDescription.
uint64_t print_of_parameters(ByteView body);
// `body` of a RowDescription.
uint64_t print_of_columns(ByteView body);
// NoData.
inline constexpr uint64_t kNoColumns = 1;
// Of a description too large to be looked at: its size has to do.
uint64_t print_of_size(size_t size);

// What all clients of a statement have been told: what the first one was. Safe for all threads.
class Description {
 public:
  // Anybody was told of columns.
  bool known() const { return columns_.load(std::memory_order_relaxed) != 0; }
  // Books what is told now. False: others were told something else.
  bool agrees(Told told) const { return same(parameters_, told.parameters) && same(columns_, told.columns); }

 private:
  static bool same(std::atomic<uint64_t>& known, uint64_t told);
  mutable std::atomic<uint64_t> parameters_{0};
  mutable std::atomic<uint64_t> columns_{0};
};

}  // namespace pgweir::track
