// What a tool's exit status says to a script. Every tool keeps to these; its man page lists those that it uses.
#pragma once

namespace pgweir::tools {

enum class Exit : int {
  kOk = 0,          // all is as it should be
  kDiffers = 1,     // nothing failed, but what was checked is not as it should be
  kUsage = 2,       // wrong options or configuration
  kConnection = 3,  // no connection to the server, or it broke
  kServer = 4,      // the server was reached and cannot or does not give what is needed
  kFile = 5,        // a file cannot be read or written, or must not be touched
};

}  // namespace pgweir::tools
