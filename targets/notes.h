#pragma once
#include <functional>
#include <string>

namespace attnfuzz {

/// What happens beside the results (a worker dies, another is started), for a log. Nothing is done
/// with it until a program asks with on_note().
void note(const std::string& text);
void on_note(std::function<void(const std::string&)> take);

}  // namespace attnfuzz
