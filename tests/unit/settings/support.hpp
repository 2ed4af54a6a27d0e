// Short forms for the tests of settings: files in a directory of their own, and what a text loads to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "settings/load.hpp"

namespace pgweir::settings {

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/pgweir-settings-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::string path = this->path(name);
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::vector<std::string> texts(const std::vector<Problem>& problems) {
  std::vector<std::string> all;
  for (const Problem& problem : problems)
    all.push_back(describe(problem));
  return all;
}

// The snapshot of a text that must load.
inline std::shared_ptr<const Snapshot> loaded(const std::string& text) {
  LoadResult result = load_text(text, "test.ini");
  EXPECT_THAT(texts(result.errors), testing::IsEmpty());
  return result.snapshot;
}

// The errors of a text that must not load.
inline std::vector<std::string> refused(const std::string& text) {
  LoadResult result = load_text(text, "test.ini");
  EXPECT_EQ(result.snapshot, nullptr);
  return texts(result.errors);
}

}  // namespace pgweir::settings
