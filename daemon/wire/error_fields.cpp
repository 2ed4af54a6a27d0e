#include "wire/error_fields.hpp"

namespace pgweir::wire {

ErrorFields parse_error_fields(ByteView body) {
  ErrorFields fields;
  while (!body.empty() && body[0] != '\0') {
    char code = body[0];
    size_t end = body.find('\0', 1);
    ByteView value = body.substr(1, end == ByteView::npos ? end : end - 1);
    body.remove_prefix(end == ByteView::npos ? body.size() : end + 1);
    switch (code) {
      case 'S':
        if (fields.severity.empty()) fields.severity = value;
        break;
      case 'V': fields.severity = value; break;
      case 'C': fields.sqlstate = value; break;
      case 'M': fields.message = value; break;
      case 'D': fields.detail = value; break;
      case 'R': fields.routine = value; break;
      default: break;
    }
  }
  return fields;
}

}  // namespace pgweir::wire
