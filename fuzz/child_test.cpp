#include "fuzz/child.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <stdexcept>

namespace attnfuzz {
namespace {

int end_of(const std::function<void(const Child::Send&)>& work) {
  Child child(work);
  Child* const all[] = {&child};
  while (!child.ended()) {
    Child::await(all, 100);
    child.receive();
  }
  return child.wait();
}

TEST(Child, WhatItsWorkThrowsEndsItAlone) {
  const int known = end_of([](const auto&) { throw std::runtime_error("no luck"); });
  const int unknown = end_of([](const auto&) { throw 7; });
  const int none = end_of([](const auto& send) { send("done"); });
  EXPECT_TRUE(WIFEXITED(known) && WEXITSTATUS(known) == 3);
  EXPECT_TRUE(WIFEXITED(unknown) && WEXITSTATUS(unknown) == 3);
  EXPECT_TRUE(WIFEXITED(none) && WEXITSTATUS(none) == 0);
}

}  // namespace
}  // namespace attnfuzz
