#include "targets/notes.h"

#include <utility>

namespace attnfuzz {
namespace {

std::function<void(const std::string&)>& taker() {
  static std::function<void(const std::string&)> take;
  return take;
}

}  // namespace

void note(const std::string& text) {
  if (taker()) taker()(text);
}

void on_note(std::function<void(const std::string&)> take) {
  taker() = std::move(take);
}

}  // namespace attnfuzz
