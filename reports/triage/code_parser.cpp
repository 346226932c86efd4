#include "reports/triage/code_parser.h"

#include <algorithm>
#include <optional>

namespace attnfuzz::triage {
namespace {

constexpr int kDeepest = 40;

bool is_letter(char x) {
  return (x >= 'a' && x <= 'z') || (x >= 'A' && x <= 'Z') || x == '_';
}
bool is_digit(char x) {
  return x >= '0' && x <= '9';
}

/// Reads as much of an expression as there is: what is missing at the line's end is left out.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<Node> expression(int level = 0) {
    if (depth_ > kDeepest) return std::nullopt;
    ++depth_;
    auto left = operand();
    while (left) {
      const std::string_view sign = binary_sign();
      const int order = order_of(sign);
      if (sign.empty() || order < level) break;
      at_ += sign.size();
      auto right = expression(order + 1);
      if (!right) break;
      Node both{
          Node::Kind::binary, std::string(sign), {std::move(*left), std::move(*right)}, false};
      left = std::move(both);
    }
    --depth_;
    return left;
  }

  bool accept(std::string_view sign) {
    skip();
    if (!text_.substr(at_).starts_with(sign)) return false;
    at_ += sign.size();
    return true;
  }

  /// Over one character that begins no expression; false at the end.
  bool pass() {
    skip();
    if (at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\\'))
      ++at_;
    if (at_ < text_.size() && (text_[at_] == '#' || is_comment())) at_ = text_.size();
  }
  /// Whether "//" begins a comment, as in C++, and is no division, as in Python.
  bool is_comment() const {
    if (!text_.substr(at_).starts_with("//") || calls_ > 0) return false;
    const size_t last = text_.substr(0, at_).find_last_not_of(" \t");
    return last == text_.npos || std::string_view(";{},").find(text_[last]) != text_.npos;
  }
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  std::string_view binary_sign() {
    skip();
    static constexpr std::string_view signs[] = {
        "==", "!=", "<=", ">=", "**", "&&", "||", "+=", "*=", "-=", "@",
        "+",  "-",  "*",  "//", "/",  "%",  "&",  "|",  "=",  "<",  ">"};
    for (const std::string_view sign : signs)
      if (text_.substr(at_).starts_with(sign)) {
        const bool assigns = sign == "=" || (sign.size() == 2 && sign[1] == '=' &&
                                             (sign[0] == '+' || sign[0] == '*' || sign[0] == '-'));
        return assigns && calls_ > 0 ? std::string_view{} : sign;
      }
    if (word_ahead("and") || word_ahead("or") || word_ahead("if") || word_ahead("else") ||
        word_ahead("in"))
      return {};
    return {};
  }
  bool word_ahead(std::string_view word) const {
    const std::string_view rest = text_.substr(at_);
    return rest.starts_with(word) && (rest.size() == word.size() || !is_letter(rest[word.size()]));
  }
  static int order_of(std::string_view sign) {
    if (sign == "=" || sign == "+=" || sign == "*=" || sign == "-=") return 0;
    if (sign == "&&" || sign == "||") return 1;
    if (sign == "==" || sign == "!=" || sign == "<" || sign == ">" || sign == "<=" || sign == ">=")
      return 2;
    if (sign == "|" || sign == "&") return 3;
    if (sign == "+" || sign == "-") return 4;
    return sign == "**" ? 6 : 5;
  }

  std::optional<Node> operand() {
    const char x = peek();
    if (x == '-' || x == '+' || x == '!' || x == '~' || x == '*' || x == '&') {
      ++at_;
      return operand();
    }
    std::optional<Node> node;
    if (x == '"' || x == '\'')
      node = quoted(x);
    else if (is_digit(x))
      node = number();
    else if (is_letter(x))
      node = word();
    else if (x == '(' || x == '[' || x == '{')
      node = list(x);
    else if (x == '.' && at_ + 1 < text_.size() && is_letter(text_[at_ + 1]))
      node = Node{Node::Kind::name, "", {}, false};  // a line that goes on: ".view("
    return node ? trailing(std::move(*node)) : node;
  }

  std::optional<Node> quoted(char quote) {
    const size_t from = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) ++at_;
    Node node{Node::Kind::string, std::string(text_.substr(from, at_ - from)), {}, false};
    if (at_ < text_.size()) ++at_;
    return node;
  }
  std::optional<Node> number() {
    const size_t from = at_;
    while (at_ < text_.size() &&
           (is_digit(text_[at_]) || is_letter(text_[at_]) || text_[at_] == '.'))
      ++at_;
    return Node{Node::Kind::number, std::string(text_.substr(from, at_ - from)), {}, false};
  }
  std::string identifier() {
    const size_t from = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }
  std::optional<Node> word() {
    std::string name = identifier();
    static constexpr std::string_view statements[] = {"return", "assert", "if",   "not",   "elif",
                                                      "while",  "raise",  "let",  "const", "auto",
                                                      "mut",    "lambda", "await"};
    if (std::find(std::begin(statements), std::end(statements), name) != std::end(statements))
      return operand();
    return Node{Node::Kind::name, std::move(name), {}, false};
  }
  std::optional<Node> list(char open) {
    ++at_;
    Node node{Node::Kind::list, std::string(1, open), {}, false};
    const int outer = calls_;
    calls_ = open == '(' ? calls_ : calls_ + 1;
    items(node, open == '(' ? ')' : open == '[' ? ']' : '}');
    calls_ = outer;
    if (open == '(' && node.parts.size() == 1) return std::move(node.parts[0]);
    return node;
  }
  void items(Node& node, char close) {
    while (at_ < text_.size()) {
      const char x = peek();
      if (x == close) {
        ++at_;
        return;
      }
      if (x == '\0') return;
      if (auto item = expression()) {
        if (accept("=")) {  // a keyword's value
          if (auto value = expression())
            node.parts.push_back({Node::Kind::keyword, item->text, {std::move(*value)}, false});
        } else {
          node.parts.push_back(std::move(*item));
        }
      } else if (peek() == close || peek() == '\0') {
        continue;
      } else {
        ++at_;
      }
    }
  }
  Node trailing(Node node) {
    while (true) {
      const char x = at_ < text_.size() ? text_[at_] : '\0';
      const bool arrow = text_.substr(at_).starts_with("->") || text_.substr(at_).starts_with("::");
      if ((x == '.' || arrow) && at_ + (arrow ? 2 : 1) < text_.size() &&
          is_letter(text_[at_ + (arrow ? 2 : 1)])) {
        at_ += arrow ? 2 : 1;
        std::string name = identifier();
        if (at_ < text_.size() && text_[at_] == '(') {
          Node call{Node::Kind::call, std::move(name), {std::move(node)}, true};
          arguments(call);
          node = std::move(call);
        } else {
          node.text = node.kind == Node::Kind::name && !node.text.empty() ? node.text + "." + name
                      : node.text.empty()                                 ? name
                                                                          : node.text;
        }
      } else if (x == '(' && node.kind == Node::Kind::name) {
        Node call{Node::Kind::call, node.text, {}, false};
        if (const size_t dot = node.text.rfind('.'); dot != node.text.npos) {
          call.text = node.text.substr(dot + 1);
          call.parts.push_back({Node::Kind::name, node.text.substr(0, dot), {}, false});
          call.is_method = true;
        }
        arguments(call);
        node = std::move(call);
      } else if (x == '[') {
        Node index{Node::Kind::index, "", {std::move(node)}, false};
        ++at_;
        ++calls_;
        items(index, ']');
        --calls_;
        node = std::move(index);
      } else if (x == '?' || (x == '!' && at_ + 1 < text_.size() && text_[at_ + 1] == '(')) {
        ++at_;
      } else {
        return node;
      }
    }
  }
  void arguments(Node& call) {
    ++at_;
    ++calls_;
    items(call, ')');
    --calls_;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0, calls_ = 0;
};

}  // namespace

std::vector<Node> expressions_in(std::string_view line) {
  std::vector<Node> nodes;
  Parser parser(line);
  while (true) {
    if (auto node = parser.expression())
      nodes.push_back(std::move(*node));
    else if (!parser.pass())
      return nodes;
  }
}

}  // namespace attnfuzz::triage
