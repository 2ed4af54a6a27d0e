// The pool of random bytes: nothing twice, nothing across a fork.
#include "auth/random_pool.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>

namespace pgweir::auth {
namespace {

std::string draw(RandomPool& pool, size_t size) {
  std::string out(size, '\0');
  EXPECT_TRUE(pool.fill(out.data(), size));
  return out;
}

TEST(RandomPool, GivesNoByteTwiceOverManyFillings) {
  RandomPool pool;
  RandomPool other;
  std::set<std::string> seen;
  for (int i = 0; i < 5000; ++i) {
    EXPECT_TRUE(seen.insert(draw(pool, 12)).second);
    EXPECT_TRUE(seen.insert(draw(other, 12)).second);
  }
}

TEST(RandomPool, OddSizes) {
  RandomPool pool;
  EXPECT_EQ("", draw(pool, 0));
  std::set<std::string> seen;
  for (size_t size : {31u, 4088u, 4087u, 4089u, 100000u, 16u}) {
    std::string bytes = draw(pool, size);
    EXPECT_NE(std::string(size, '\0'), bytes);
    EXPECT_TRUE(seen.insert(bytes.substr(0, 16)).second);
  }
}

TEST(RandomPool, AChildDoesNotGetItsParentsBytes) {
  RandomPool pool;
  draw(pool, 16);  // there is a rest that both could draw from
  int ends[2];
  ASSERT_EQ(0, pipe(ends));
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char bytes[16];
    bool good = pool.fill(bytes, sizeof bytes) && write(ends[1], bytes, sizeof bytes) == sizeof bytes;
    _exit(good ? 0 : 1);
  }
  close(ends[1]);
  char childs[16] = {};
  EXPECT_EQ(static_cast<ssize_t>(sizeof childs), read(ends[0], childs, sizeof childs));
  close(ends[0]);
  int status = -1;
  ASSERT_EQ(child, waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  EXPECT_NE(std::string(childs, sizeof childs), draw(pool, sizeof childs));
  EXPECT_NE(std::string(16, '\0'), std::string(childs, sizeof childs));
}

}  // namespace
}  // namespace pgweir::auth
