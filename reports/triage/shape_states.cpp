#include "reports/triage/shape_states.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "reports/triage/letters.h"
#include "reports/triage/scenes.h"
#include "reports/triage/shape_fit.h"

namespace attnfuzz::triage {
namespace {

class Shapes {
 public:
  Shapes(const std::vector<Mention>& mentions, const Evidence& evidence, const Weights& weights)
      : evidence_(evidence), weights_(weights), scene_(evidence, weights) {
    for (size_t k = 0; k < mentions.size(); ++k)
      if (is_shape(mentions[k])) message_.push_back(k);
    for (const size_t k : message_) shapes_.push_back(&mentions[k]);
    constexpr size_t most = 7;
    if (shapes_.size() > most) shapes_.resize(most);
    from_message_ = shapes_.size();
    constexpr double least = .6;
    for (const LabelledShape& each : evidence.shapes)
      if (each.role.strength >= least && shapes_.size() < most) {
        shapes_.push_back(&each.shape);
        labels_.resize(shapes_.size());
        labels_.back() = each.role;
      }
    labels_.resize(shapes_.size());
    for (size_t k = 0; k < mentions.size(); ++k)
      if (is_number(mentions[k]))
        add_named(label_of_number(mentions, k), mentions[k].sizes[0].value);
    for (size_t k = 0; k < from_message_; ++k) labels_[k] = label_before(shapes_[k]->before);
  }

  std::vector<State> solve() {
    const bool alone_first = from_message_ == 1 || is_seen_as(*shapes_[0], *shapes_[1]);
    std::vector<State> states = alone_first ? alone() : together();
    for (size_t k = alone_first ? 1 : 2; k < shapes_.size(); ++k) {
      keep_best(states);
      std::vector<State> longer;
      for (const State& state : states) add_any(state, k, longer);
      if (longer.empty()) continue;
      states = std::move(longer);
    }
    keep_best(states);
    return states;
  }
  const std::vector<size_t>& mentions() const { return message_; }
  size_t count() const { return from_message_; }

 private:
  /// "but got q_len=20000": one of the sizes that do not agree. An axis with two of them has none.
  void add_named(const NumberLabel& label, int64_t size) {
    if (label.axis.strength < .6 || label.inherited || label.axis.any_length) return;
    const auto [at, is_new] = named_.try_emplace(label.axis.axis, size);
    if (!is_new && at->second != size) at->second = 0;
  }

  /// One shape: what it is, by its label and the words of a view.
  std::vector<State> alone() {
    std::vector<State> states;
    const CodeOp* view = viewed(0);
    for (size_t r = 1; r < static_cast<size_t>(Role::count); ++r) {
      const auto role = static_cast<Role>(r);
      constexpr double by_words = 1.6;
      State start = empty(evidence_.form(Form::view) > 1 ? Form::view : Form::equal);
      start.score.add(Term::label, by_label(labels_[0], role));
      start.score.add(Term::words, by_words * scene_.of_role(role) + scene_.if_unnamed(role));
      start.score.add(Term::scene, start.form == Form::view ? view_prior(role) : role_prior(role));
      if (view != nullptr) start.score.add(Term::code, by_label(subject(*view), role));
      for (const Layout& layout : evidence_.layouts(role))
        add_placed(start, 0, layout, log_weight(layout, evidence_.layouts(role)), view, states);
      if (view != nullptr)
        if (auto next = placed(start, 0, role, said(*view, role), std::log(.02), view))
          states.push_back(std::move(*next));
    }
    return states;
  }

  std::vector<State> together() {
    std::vector<State> states;
    for (const Scene& scene : scene_.all()) {
      const Score score = scene_.of(scene);
      for (const bool swapped : {false, true}) {
        if (swapped && scene.a == scene.b) continue;
        const Role first = swapped ? scene.b : scene.a, second = swapped ? scene.a : scene.b;
        State start = empty(scene.form);
        start.score = score;
        start.score.add(Term::label, by_label(labels_[0], first) + by_label(labels_[1], second));
        start.score.add(Term::order, order_score(scene.form, swapped));
        if (scene.form == Form::view)
          for (const CodeOp& op : evidence_.operations)
            if (op.form == Form::view) {
              start.score.add(Term::code,
                              by_label(subject(op), first) + by_label(subject(op), second));
              break;
            }
        constexpr double in_tiles = 3;
        const auto of_layers = [](Role role) {
          return role == Role::hidden || role == Role::weight;
        };
        if (evidence_.tiles && (of_layers(first) || of_layers(second)))
          start.score.add(Term::layout, -in_tiles);
        for (const Layout& one : evidence_.layouts(first)) {
          std::vector<State> begun;
          add_placed(
              start, 0, one,
              log_weight(one, evidence_.layouts(first)) + log_beside(one, second, scene.form),
              nullptr, begun);
          for (const State& state : begun) {
            const size_t from = states.size();
            for (const Layout& two : evidence_.layouts(second))
              add_placed(
                  state, 1, two,
                  log_weight_after(one, two, scene.form) + log_beside(two, first, scene.form),
                  scene.form == Form::view ? viewed(1) : nullptr, states);
            for (size_t k = from; k < states.size(); ++k)
              states[k].score.add(Term::lie, fit(states[k], scene.form));
          }
        }
      }
    }
    return states;
  }

  void add_any(const State& state, size_t k, std::vector<State>& longer) {
    if (is_seen_as(*shapes_[k - 1], *shapes_[k])) return longer.push_back(seen_as(state, k));
    for (size_t r = 1; r < static_cast<size_t>(Role::count); ++r) {
      const auto role = static_cast<Role>(r);
      const bool seen =
          std::find(state.roles.begin(), state.roles.end(), role) != state.roles.end();
      State start = state;
      start.score.add(Term::label, by_label(labels_[k], role));
      start.score.add(Term::words, scene_.if_unnamed(role));
      start.score.add(Term::scene, seen                       ? -1
                                   : labels_[k].strength > .6 ? -2.5
                                                              : -2.5 + role_prior(role));
      for (const Layout& layout : evidence_.layouts(role))
        add_placed(start, k, layout, log_weight(layout, evidence_.layouts(role)), nullptr, longer);
    }
  }

  /// The shape before, with axes of size 1 in it.
  State seen_as(const State& state, size_t k) const {
    State next = state;
    std::vector<Axis> axes, stands;
    size_t from = 0;
    for (const Size& size : shapes_[k]->sizes) {
      const bool same =
          from < shapes_[k - 1]->sizes.size() && shapes_[k - 1]->sizes[from].value == size.value;
      axes.push_back(same ? state.axes[k - 1][from] : Axis::none);
      stands.push_back(same ? state.stands[k - 1][from] : Axis::none);
      from += same;
    }
    next.axes.push_back(std::move(axes));
    next.stands.push_back(std::move(stands));
    next.roles.push_back(state.roles[k - 1]);
    return next;
  }

  /// The shape in the layout, and in the same with axes of size 1 in front.
  void add_placed(const State& state, size_t k, const Layout& layout, double weight,
                  const CodeOp* view, std::vector<State>& states) {
    constexpr double for_each = -3;
    std::vector<Axis> axes = axes_of_letters(layout.axes);
    const size_t rank = shapes_[k]->sizes.size();
    if (const int lacks = shapes_[k]->lacks; lacks >= 0) {
      if (static_cast<size_t>(lacks) >= axes.size()) return;
      axes.erase(axes.begin() + lacks);
      if (axes.empty()) return;
    }
    if (axes.size() < rank && rank - axes.size() <= leading_ones(*shapes_[k])) {
      weight += for_each * static_cast<double>(rank - axes.size());
      axes.insert(axes.begin(), rank - axes.size(), Axis::none);
    }
    if (shapes_[k]->is_reversed) std::reverse(axes.begin(), axes.end());
    for (size_t n = 0; n < axes.size() && axes.size() == rank; ++n)
      if (axes[n] == Axis::none && shapes_[k]->sizes[n].value != 1) return;
    if (auto next = placed(state, k, layout.role, std::move(axes), weight, view))
      states.push_back(std::move(*next));
  }

  std::optional<State> placed(const State& state, size_t k, Role role, std::vector<Axis> axes,
                              double weight, const CodeOp* view) {
    const Mention& shape = *shapes_[k];
    if (axes.size() != shape.sizes.size()) return std::nullopt;
    State next = state;
    next.sizes.next_tensor();
    next.score.add(Term::layout, weight);
    std::vector<Axis> stands(axes.size());
    std::vector<std::string> words;
    for (const Size& size : shape.sizes) words.push_back(size.name);
    const std::vector<AxisGuess> names = axes_of_names(words);
    const size_t nth = static_cast<size_t>(
        std::count_if(shapes_.begin(), shapes_.begin() + static_cast<ptrdiff_t>(k),
                      [](const Mention* each) { return each->before != "->"; }));
    const std::vector<AxisGuess>* pattern =
        nth < evidence_.pattern.size() && evidence_.pattern[nth].size() == axes.size()
            ? &evidence_.pattern[nth]
            : nullptr;
    for (size_t n = 0; n < axes.size(); ++n) {
      if (axes[n] == Axis::none)
        next.score.add(Term::one, view != nullptr ? -1.5 : 0);
      else
        next.sizes.place(next.score, role, axes[n], shape.sizes[n].value, stands[n]);
      if (axes[n] == Axis::none) stands[n] = Axis::none;
      if (view != nullptr)
        next.score.add(Term::word, 1.4 * by_word(view->axes[n], axes[n]));
      else if (!evidence_.result_axes.empty() && evidence_.result_axes.size() == axes.size())
        next.score.add(Term::word, .6 * by_word(evidence_.result_axes[n], axes[n]));
      if (!shape.sizes[n].name.empty()) next.score.add(Term::word, by_word(names[n], axes[n]));
      if (pattern != nullptr) next.score.add(Term::word, 1.2 * by_word((*pattern)[n], axes[n]));
    }
    next.score.add(Term::word, by_stated(evidence_.stated, role, axes));
    for (size_t other = 0; other < next.axes.size(); ++other)
      if (head_order(next.axes[other], next.roles[other]) * head_order(axes, role) < 0)
        next.score.add(Term::order, -2);
    next.axes.push_back(std::move(axes));
    next.stands.push_back(std::move(stands));
    next.roles.push_back(role);
    return next;
  }

  /// The innermost view or reshape with as many words as the shape has sizes.
  const CodeOp* viewed(size_t k) const {
    for (const CodeOp& op : evidence_.operations)
      if ((op.form == Form::view || op.form == Form::expand) &&
          op.axes.size() == shapes_[k]->sizes.size())
        return &op;
    return nullptr;
  }
  static RoleGuess subject(const CodeOp& op) {
    return op.operands.empty() ? RoleGuess{} : op.operands[0].role;
  }

  /// The axes that the view's words say, whatever layout that is.
  static std::vector<Axis> said(const CodeOp& view, Role role) {
    std::vector<Axis> axes;
    const bool of_keys = role == Role::k || role == Role::v || role == Role::cache;
    for (const AxisGuess& word : view.axes)
      axes.push_back(word.any_length && of_keys ? Axis::kv_len
                     : word.strength >= .4      ? word.axis
                                                : Axis::none);
    return axes;
  }

  static bool same_but_heads(std::string_view one, std::string_view two) {
    return std::equal(one.begin(), one.end(), two.begin(), two.end(), [](char x, char y) {
      return x == y || (is_heads(axis_of_letter(x)) && is_heads(axis_of_letter(y)));
    });
  }

  /// Two tensors of one kind have one layout, as a rule.
  double log_weight_after(const Layout& one, const Layout& two, Form form) const {
    if (one.role != two.role) return log_weight(two, evidence_.layouts(two.role));
    const bool same_rank = form == Form::equal || form == Form::concat;
    if (one.axes == two.axes) return std::log(.7);
    // Keys are repeated for all heads.
    constexpr double repeated = .2;
    if (same_but_heads(one.axes, two.axes)) return std::log(repeated);
    return std::log(same_rank && one.axes.size() == two.axes.size() ? .1 : .3) +
           log_weight(two, evidence_.layouts(two.role));
  }

  /// Targets come first in texts of expansions, and the left factor in those of products (but in
  /// ggml's); elsewhere either may.
  double order_score(Form form, bool swapped) const {
    const bool product = form == Form::matmul && !shapes_[0]->is_reversed;
    const bool ordered = product || form == Form::expand || form == Form::copy;
    return ordered ? (swapped ? -1.2 : -.35) : -.69;
  }

  /// How well the two shapes go together: they lie on each other from the right (or from the left,
  /// where all axes must agree).
  double fit(const State& state, Form form) const {
    const std::vector<Axis>&one = state.axes[0], &two = state.axes[1];
    if (form == Form::view) return 0;
    if (form == Form::matmul || form == Form::einsum) return product_fit(one, two);
    double score = 0;
    const bool from_left = form == Form::index;  // a boolean mask covers the first axes
    for (size_t k = 1; k <= std::min(one.size(), two.size()); ++k) {
      const size_t x = from_left ? k - 1 : one.size() - k, y = from_left ? k - 1 : two.size() - k;
      const int64_t a = shapes_[0]->sizes[x].value, b = shapes_[1]->sizes[y].value;
      if (one[x] == two[y] || a == 1 || b == 1 || one[x] == Axis::none || two[y] == Axis::none)
        continue;
      const auto is_input = [](Role role) {
        return role == Role::q || role == Role::k || role == Role::v;
      };
      const bool inputs = is_input(state.roles[0]) && is_input(state.roles[1]);
      const bool alike = (form == Form::equal || form == Form::concat || inputs) &&
                         one.size() == two.size();  // there all axes are to agree
      score -= is_same_kind(one[x], two[y]) ? .4 : a == b || alike ? 2.5 : 1.2;
    }
    return score;
  }

  static void keep_best(std::vector<State>& states) {
    constexpr size_t most = 250;
    const size_t count = std::min(most, states.size());
    std::partial_sort(
        states.begin(), states.begin() + static_cast<ptrdiff_t>(count), states.end(),
        [](const State& x, const State& y) { return x.score.total() > y.score.total(); });
    states.erase(states.begin() + static_cast<ptrdiff_t>(count), states.end());
  }

  State empty(Form form) const {
    State state{Score(weights_), Sizes(evidence_.facts), {}, {}, {}, form};
    for (const auto& [axis, size] : named_)
      if (size > 0) state.sizes.set(axis, size);
    return state;
  }

  const Evidence& evidence_;
  const Weights& weights_;
  SceneScore scene_;
  std::vector<size_t> message_;
  std::vector<const Mention*> shapes_;
  std::vector<RoleGuess> labels_;
  std::map<Axis, int64_t> named_;  ///< by the words beside the message's numbers
  size_t from_message_ = 0;
};

}  // namespace

ShapeStates shape_states(const std::vector<Mention>& mentions, const Evidence& evidence,
                         const Weights& weights) {
  Shapes shapes(mentions, evidence, weights);
  return {shapes.solve(), shapes.mentions(), shapes.count()};
}

}  // namespace attnfuzz::triage
