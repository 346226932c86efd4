#include <algorithm>
#include <cmath>

#include "reports/triage/letters.h"
#include "reports/triage/scenes.h"
#include "reports/triage/sizes_known.h"
#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

/// A layout's axes; the letter 1 stands for an axis of size 1.
std::vector<Axis> axes_of(std::string_view letters) {
  std::vector<Axis> axes;
  for (const char letter : letters) axes.push_back(axis_of_letter(letter));
  return axes;
}

double log_weight(const Layout& layout, std::span<const Layout> layouts) {
  double all = 0;
  for (const Layout& row : layouts) all += row.weight;
  return std::log(layout.weight / all);
}

/// How many axes of size 1 stand in front of the others.
size_t leading_ones(const Mention& shape) {
  const size_t rank = shape.sizes.size();
  const auto is_one = [&](size_t k) {
    return shape.sizes[shape.is_reversed ? rank - 1 - k : k].value == 1;
  };
  size_t count = 0;
  while (count + 2 < rank && is_one(count)) ++count;
  return count;
}

/// "[32, 40]->[32, 1, 40]": the second is the first with axes of size 1.
bool is_seen_as(const Mention& first, const Mention& second) {
  if (second.before != "->" || second.sizes.size() < first.sizes.size()) return false;
  size_t next = 0;
  for (const Size& size : second.sizes)
    if (next < first.sizes.size() && first.sizes[next].value == size.value)
      ++next;
    else if (size.value != 1)
      return false;
  return next == first.sizes.size();
}

/// Heads before the length, behind it, or no such order. Scores have their heads first, however
/// the queries are laid out.
int head_order(const std::vector<Axis>& axes, Role role) {
  if (role == Role::scores || role == Role::mask || role == Role::bias) return 0;
  int heads = -1, length = -1;
  for (size_t k = 0; k < axes.size(); ++k) {
    if (is_heads(axes[k])) heads = static_cast<int>(k);
    if (is_length(axes[k]) || axes[k] == Axis::capacity) length = static_cast<int>(k);
  }
  return heads < 0 || length < 0 ? 0 : heads < length ? 1 : -1;
}

struct State {
  Score score;
  Sizes sizes;
  std::vector<std::vector<Axis>> axes;    ///< of each shape, as the layout has them
  std::vector<std::vector<Axis>> stands;  ///< what each number stands for
  std::vector<Role> roles;
  Form form = Form::unknown;
};

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
  /// One shape: what it is, by its label and the words of a view.
  std::vector<State> alone() {
    std::vector<State> states;
    const CodeOp* view = viewed(0);
    for (size_t r = 1; r < static_cast<size_t>(Role::count); ++r) {
      const auto role = static_cast<Role>(r);
      constexpr double by_words = 1.6;
      State start = empty(evidence_.form(Form::view) > 1 ? Form::view : Form::equal);
      start.score.add(Term::label, by_label(labels_[0], role));
      start.score.add(Term::words, by_words * scene_.of_role(role));
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
    for (const Scene& scene : scenes()) {
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
        if (evidence_.tiles && (first == Role::hidden || second == Role::hidden))
          start.score.add(Term::layout, -in_tiles);
        for (const Layout& one : evidence_.layouts(first)) {
          std::vector<State> begun;
          add_placed(start, 0, one, log_weight(one, evidence_.layouts(first)), nullptr, begun);
          for (const State& state : begun) {
            const size_t from = states.size();
            for (const Layout& two : evidence_.layouts(second))
              add_placed(state, 1, two, log_weight_after(one, two, scene.form),
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
    std::vector<Axis> axes = axes_of(layout.axes);
    const size_t rank = shapes_[k]->sizes.size();
    if (const int lacks = shapes_[k]->lacks; lacks >= 0) {
      if (static_cast<size_t>(lacks) >= axes.size()) return;
      axes.erase(axes.begin() + lacks);
      if (axes.empty()) return;
    }
    const bool rows = axes[0] == Axis::batch_heads || axes[0] == Axis::batch_kv_heads;
    if (axes.size() < rank && !rows && rank - axes.size() <= leading_ones(*shapes_[k])) {
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
    for (size_t other = 0; other < next.axes.size(); ++other)
      if (head_order(next.axes[other], next.roles[other]) * head_order(axes, role) < 0)
        next.score.add(Term::order, -2);
    next.axes.push_back(std::move(axes));
    next.stands.push_back(std::move(stands));
    next.roles.push_back(role);
    return next;
  }

  static double by_word(const AxisGuess& word, Axis axis) {
    constexpr double agrees = 3, against = 2.5;
    if (word.axis == Axis::none) return 0;
    if (word.axis == axis) return agrees * word.strength;
    if (word.any_length && (is_length(axis) || axis == Axis::capacity))
      return agrees * word.strength - .2;
    if (is_same_kind(word.axis, axis)) return .5;
    return -against * word.strength;
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

  /// Two tensors of one kind have one layout, as a rule.
  double log_weight_after(const Layout& one, const Layout& two, Form form) const {
    if (one.role != two.role) return log_weight(two, evidence_.layouts(two.role));
    const bool same_rank = form == Form::equal || form == Form::concat;
    if (one.axes == two.axes) return std::log(.7);
    return std::log(same_rank && one.axes.size() == two.axes.size() ? .1 : .3) +
           log_weight(two, evidence_.layouts(two.role));
  }

  /// Targets come first in texts of expansions; elsewhere either may.
  static double order_score(Form form, bool swapped) {
    return form == Form::expand || form == Form::copy ? (swapped ? -1.2 : -.35) : -.69;
  }

  /// How well the two shapes go together: they lie on each other from the right (or from the left,
  /// where all axes must agree).
  double fit(const State& state, Form form) const {
    const std::vector<Axis>&one = state.axes[0], &two = state.axes[1];
    if (form == Form::view) return 0;
    if (form == Form::matmul || form == Form::einsum) return product_fit(state);
    double score = 0;
    for (size_t k = 1; k <= std::min(one.size(), two.size()); ++k) {
      const size_t x = one.size() - k, y = two.size() - k;
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

  /// What a product sums over is one axis in both.
  static double product_fit(const State& state) {
    const std::vector<Axis>&one = state.axes[0], &two = state.axes[1];
    if (one.size() < 2 || two.size() < 2) return -2;
    const Axis inner = one.back(), other = two[two.size() - 2], last = two.back();
    double score = is_same_kind(inner, other) ? .5 : is_same_kind(inner, last) ? -1 : -3;
    for (size_t k = 3; k <= std::min(one.size(), two.size()); ++k)
      if (!is_same_kind(one[one.size() - k], two[two.size() - k])) score -= 1.5;
    return score;
  }

  /// What is viewed in another shape.
  static double view_prior(Role role) {
    switch (role) {
      case Role::q:
      case Role::hidden:
        return -1.5;
      case Role::k:
        return -1.8;
      case Role::v:
      case Role::cache:
        return -2.2;
      case Role::scores:
      case Role::pages:
        return -2.8;
      default:
        return -3.5;
    }
  }

  static double role_prior(Role role) {
    switch (role) {
      case Role::q:
      case Role::k:
        return role == Role::q ? -1.4 : -2.1;
      case Role::mask:
      case Role::cache:
      case Role::hidden:
        return -1.9;
      case Role::v:
      case Role::scores:
      case Role::bias:
      case Role::pages:
        return -2.5;
      default:
        return -3.5;
    }
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
    return {Score(weights_), Sizes(evidence_.facts), {}, {}, {}, form};
  }

  const Evidence& evidence_;
  const Weights& weights_;
  SceneScore scene_;
  std::vector<size_t> message_;
  std::vector<const Mention*> shapes_;
  std::vector<RoleGuess> labels_;
  size_t from_message_ = 0;
};

/// The slots of the shapes as the state has them.
std::vector<Slot> slots_of(const State& state, const std::vector<Mention>& mentions,
                           const Shapes& shapes) {
  std::vector<Slot> slots;
  for (size_t k = 0; k < shapes.count(); ++k) {
    const Mention& shape = mentions[shapes.mentions()[k]];
    for (size_t n = 0; n < shape.sizes.size(); ++n)
      slots.push_back(
          {shapes.mentions()[k], n, shape.sizes[n].value, state.stands[k][n], state.roles[k]});
  }
  return slots;
}

/// A number alone stands for the size of a shape that it repeats, preferably one on which the
/// shapes differ, or that at the dimension which the text names.
void link(std::vector<Slot>& slots, const std::vector<Slot>& shaped, size_t mention,
          const std::vector<Mention>& mentions, size_t index, int64_t dim) {
  const Mention& number = mentions[mention];
  Slot slot{mention, 0, number.sizes[0].value, Axis::none, Role::none};
  double best = -1;
  for (const Slot& each : shaped) {
    if (each.value != slot.value) continue;
    const Mention& shape = mentions[each.mention];
    double score = 0;
    if (dim >= 0 && each.place == static_cast<size_t>(dim)) score += 2;
    if (dim < 0 && dim >= -8 && each.place + static_cast<size_t>(-dim) == shape.sizes.size())
      score += 2;
    bool differs = false;  // from the other shape's size there, counted from the right
    size_t nth = 0, seen = SIZE_MAX;
    for (const Slot& other : shaped) {
      if (other.mention != seen) nth += seen != SIZE_MAX, seen = other.mention;
      if (other.mention == each.mention && nth == index) score += .5;
      if (other.mention != each.mention &&
          mentions[other.mention].sizes.size() - other.place == shape.sizes.size() - each.place)
        differs = differs || other.value != each.value;
    }
    score += differs ? 1 : 0;
    if (score > best) {
      best = score;
      slot.axis = each.axis;
      slot.of = each.of;
    }
  }
  slots.push_back(slot);
}

}  // namespace

void solve_shapes(const std::vector<Mention>& mentions, const Evidence& evidence,
                  const Weights& weights, std::vector<Scored>& found) {
  // A number that its words name is a size that is known.
  Evidence known = evidence;
  for (size_t k = 0; k < mentions.size(); ++k)
    if (is_number(mentions[k]))
      if (const NumberLabel label = label_of_number(mentions, k);
          label.axis.strength >= .6 && !label.inherited && !label.axis.any_length)
        known.facts.push_back({label.axis.axis, mentions[k].sizes[0].value, Role::none, .7, false});
  Shapes shapes(mentions, known, weights);
  const int64_t dim = dimension_in(mentions);
  for (const State& state : shapes.solve()) {
    Scored scored{state.score, {}};
    scored.reading.form = state.form;
    scored.reading.a = state.roles.empty() ? Role::none : state.roles[0];
    scored.reading.b = state.roles.size() > 1 ? state.roles[1] : Role::none;
    const std::vector<Slot> shaped = slots_of(state, mentions, shapes);
    std::vector<Slot> slots = shaped;
    size_t index = 0;
    for (size_t k = 0; k < mentions.size(); ++k) {
      if (!is_number(mentions[k])) continue;
      const NumberLabel label = label_of_number(mentions, k);
      if (label.axis.strength >= .6 && !label.inherited && label.axis.axis != Axis::none)
        slots.push_back({k, 0, mentions[k].sizes[0].value, label.axis.axis, Role::none});
      else
        link(slots, shaped, k, mentions, index, dim);
      ++index;
    }
    std::stable_sort(slots.begin(), slots.end(), [](const Slot& x, const Slot& y) {
      return x.mention < y.mention || (x.mention == y.mention && x.place < y.place);
    });
    scored.reading.slots = std::move(slots);
    found.push_back(std::move(scored));
  }
}

}  // namespace attnfuzz::triage
