// The fields of an ErrorResponse or NoticeResponse. Tolerant: missing fields are empty, a missing terminator ends the
// list (CVE-2026-6666 was a server that left SQLSTATE out).
#pragma once

#include "base/bytes.hpp"

namespace pgweir::wire {

struct ErrorFields {
  ByteView severity;  // the untranslated one ('V') when there is one
  ByteView sqlstate;
  ByteView message;
  ByteView detail;
  ByteView routine;
  bool fatal() const { return severity == "FATAL" || severity == "PANIC"; }
};

ErrorFields parse_error_fields(ByteView body);

}  // namespace pgweir::wire
