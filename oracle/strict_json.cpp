#include "oracle/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "oracle/error.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr size_t max_depth = 32;
constexpr size_t line_width = 100;

/// Follows the parser through the text, so that what it would let pass has a path.
class Watcher {
 public:
  explicit Watcher(const std::string& where) : where_(where) {}

  bool operator()(Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        if (open_.size() == max_depth) {
          throw InputError(where_, path(), fmt::format("expected at most {} levels", max_depth));
        }
        open_.push_back({event == Event::object_start, {}, {}, 0});
        break;
      case Event::key:
        open_.back().key = parsed.get<std::string>();
        if (!open_.back().keys.insert(open_.back().key).second) {
          throw InputError(where_, path(), "expected each key once, found it again");
        }
        break;
      case Event::object_end:
      case Event::array_end:
        open_.pop_back();
        [[fallthrough]];
      case Event::value:
        if (!open_.empty()) ++open_.back().index;
        break;
    }
    return true;
  }

 private:
  struct Open {
    bool object;
    std::set<std::string> keys;
    std::string key;
    size_t index;
  };

  std::string path() const {
    std::string text;
    for (const Open& open : open_) {
      text += open.object ? pointer_part(open.key) : fmt::format("/{}", open.index);
    }
    return text;
  }

  const std::string& where_;
  std::vector<Open> open_;
};

std::string on_one_line(const OrderedJson& json) {
  if (!json.is_structured()) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  }
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (!text.empty()) text += ", ";
    if (json.is_object()) text += on_one_line(key) + ": ";
    text += on_one_line(value);
  }
  return json.is_object() ? "{" + text + "}" : "[" + text + "]";
}

bool is_plain_list(const OrderedJson& json) {
  return json.is_array() && std::none_of(json.begin(), json.end(), [](const OrderedJson& element) {
           return element.is_structured();
         });
}

/// `column` is where the value's text begins.
std::string layout(const OrderedJson& json, size_t indent, size_t column, bool outermost) {
  std::string line = on_one_line(json);
  const bool fits = !outermost && column + line.size() < line_width;
  if (fits || !json.is_structured() || json.empty() || is_plain_list(json)) return line;
  const std::string inner(indent + 2, ' ');
  std::string text;
  for (const auto& [key, value] : json.items()) {
    const std::string name = json.is_object() ? on_one_line(key) + ": " : "";
    text += text.empty() ? "\n" : ",\n";
    text += inner;
    text += name;
    text += layout(value, inner.size(), inner.size() + name.size(), false);
  }
  text += "\n" + std::string(indent, ' ');
  return json.is_object() ? "{" + text + "}" : "[" + text + "]";
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  Watcher watcher(where);
  try {
    return Json::parse(text, [&watcher](int, Json::parse_event_t event, const Json& parsed) {
      return watcher(event, parsed);
    });
  } catch (const Json::exception& error) {
    // The library's messages begin with "[json.exception.parse_error.101] ".
    const std::string_view message = error.what();
    const size_t end = message.find("] ");
    throw InputError(
        where, "",
        fmt::format("expected JSON: {}",
                    end == std::string_view::npos ? message : message.substr(end + 2)));
  }
}

std::string pretty_json(const OrderedJson& json) {
  return layout(json, 0, 0, true) + "\n";
}

std::string pointer_part(std::string_view key) {
  std::string text = "/";
  for (const char c : key) text += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return text;
}

}  // namespace attnfuzz
