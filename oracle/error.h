#pragma once
#include <stdexcept>
#include <string>

namespace attnfuzz {

/// Bad input from outside: a case file, a flag, a plug-in's data, a store. The command line prints
/// what() and exits 2. `where` is the file (or flag), `path` the place inside it
/// ("/problem/batch").
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& what) : std::runtime_error(what) {}
  InputError(const std::string& where, const std::string& path, const std::string& expected)
      : std::runtime_error(where + (path.empty() ? "" : ": " + path) + ": " + expected) {}
};

}  // namespace attnfuzz
