#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "reports/triage/scenes.h"
#include "reports/triage/sizes_known.h"
#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

constexpr int64_t kNoDim = std::numeric_limits<int64_t>::min();

/// Words that end one phrase and begin the next.
constexpr std::string_view kBreaks[] = {
    "must be",   "must match",  "should be", "but got", "but is", "expected", "exceeds",
    "divisible", "multiple of", " got ",     " vs",     " than ", "(got ",    " and ",
    " by ",      " to be ",     " is ",      ", ",      "; ",     "!=",       "==",
    "<=",        ">=",          " with ",    " but "};

/// The last phrase before a number, and the one before that.
std::pair<std::string_view, std::string_view> phrases(std::string_view before) {
  size_t cut = 0, end = before.size();
  const auto last_break = [&](std::string_view text) {
    size_t at = 0;
    for (const std::string_view each : kBreaks)
      if (const size_t found = text.rfind(each); found != text.npos)
        at = std::max(at, found + each.size());
    return at;
  };
  while (end > 0 && std::string_view(" =:([{'\"`").find(before[end - 1]) != before.npos) --end;
  before = before.substr(0, end);
  cut = last_break(before);
  if (const size_t colon = before.find_last_of(":;{"); colon != before.npos)
    cut = std::max(cut, colon + 1);
  const std::string_view last = before.substr(cut, end - cut);
  const std::string_view rest = before.substr(0, cut == 0 ? 0 : cut - 1);
  return {last, rest};
}

class Numbers {
 public:
  Numbers(const std::vector<Mention>& mentions, const Evidence& evidence)
      : mentions_(mentions),
        evidence_(evidence),
        scene_(evidence),
        sizes_(evidence.facts),
        dim_(dimension_in(mentions)) {
    for (size_t k = 0; k < mentions.size(); ++k)
      if (is_number(mentions[k])) {
        numbers_.push_back(k);
        labels_.push_back(label_of_number(mentions, k));
        const bool named = labels_.back().axis.axis != Axis::none;
        if (!named && evidence.letter.axis != Axis::none) labels_.back().axis = evidence.letter;
      }
    // A size of 1 says nothing where two others are there to be compared.
    const auto is_one = [&](size_t k) { return mentions[k].sizes[0].value == 1; };
    if (numbers_.size() > 2)
      for (size_t k = numbers_.size(); k-- > 0 && numbers_.size() > 2;)
        if (is_one(numbers_[k])) {
          numbers_.erase(numbers_.begin() + static_cast<ptrdiff_t>(k));
          labels_.erase(labels_.begin() + static_cast<ptrdiff_t>(k));
        }
    for (size_t k = 1; k < labels_.size(); ++k) name_limit(k);
  }

  void solve(std::vector<Scored>& found) {
    if (numbers_.empty()) return;
    if (numbers_.size() == 1)
      one();
    else
      two();
    for (const auto& [axes, scored] : best_) {
      Scored all = scored;
      all.score = sums_.at(axes);
      for (size_t k = 2; k < numbers_.size(); ++k)
        all.reading.slots.push_back(
            {numbers_[k], 0, value(k), axis_of_more(k, all.reading), Role::none});
      found.push_back(std::move(all));
    }
  }

 private:
  /// "too long (700 tokens, max 512)"
  void name_limit(size_t k) {
    const auto [last, rest] = phrases(mentions_[numbers_[k]].before);
    const std::vector<std::string> words = words_of(last);
    const bool limit = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return word == "max" || word == "maximum" || word == "limit";
    });
    if (limit && labels_[k].inherited && is_length(labels_[k - 1].axis.axis))
      labels_[k].axis = {Axis::max_positions, .7, false};
  }

  int64_t value(size_t k) const { return mentions_[numbers_[k]].sizes[0].value; }

  /// The third number and those behind it: by their words, or as an equal one before.
  Axis axis_of_more(size_t k, const Candidate& reading) const {
    const AxisGuess& label = labels_[k].axis;
    if (label.strength >= .5 && !labels_[k].inherited) return label.axis;
    for (const Slot& slot : reading.slots)
      if (slot.value == value(k)) return slot.axis;
    return label.strength >= .5 ? label.axis : Axis::none;
  }

  void one() {
    for (size_t a = 1; a < static_cast<size_t>(Axis::elements); ++a) {
      const auto axis = static_cast<Axis>(a);
      if (axis == Axis::other || axis == Axis::pair || axis == Axis::triple) continue;
      const double score = sizes_.log_chance(axis, value(0)) + by_label(0, axis) - 1;
      add({axis, Axis::none}, score, Form::limit, labels_[0].role.role, Role::none);
    }
    if (dim_ != kNoDim) by_roles_dim(0);
  }

  /// "dimension 3 of past_key": the layouts of that tensor say the axis.
  void by_roles_dim(size_t k) {
    for (size_t r = 1; r < static_cast<size_t>(Role::count); ++r)
      for (const Layout& layout : layouts_of(static_cast<Role>(r))) {
        const Axis axis = axis_at(layout.axes, dim_);
        if (axis == Axis::none) continue;
        add({axis, Axis::none},
            std::log(layout.weight / 20) + scene_.of_role(layout.role, 2) +
                sizes_.log_chance(axis, value(k)) + by_label(k, axis),
            Form::equal, layout.role, Role::none);
      }
  }

  static Axis axis_at(std::string_view letters, int64_t dim) {
    const auto rank = static_cast<int64_t>(letters.size());
    const int64_t at = dim < 0 ? rank + dim : dim;
    return at < 0 || at >= rank ? Axis::none : axis_of_letter(letters[static_cast<size_t>(at)]);
  }

  void two() {
    for (const Scene& scene : scenes())
      for (const bool swapped : {false, true}) {
        if (swapped && scene.a == scene.b) continue;
        const Role first = swapped ? scene.b : scene.a, second = swapped ? scene.a : scene.b;
        const double score = scene_.of(scene) - .69;
        for (const Layout& one : layouts_of(first))
          for (const Layout& two : layouts_of(second)) pair(scene.form, one, two, score);
      }
    // As the words say, whatever meets.
    for (const Axis a : said(0))
      for (const Axis b : said(1)) {
        const double score =
            (a == b ? same(a, value(0), value(1))
                    : sizes_.log_chance(a, value(0)) + sizes_.log_chance(b, value(1))) -
            3;
        add({a, b}, score + by_label(0, a) + by_label(1, b), Form::equal, labels_[0].role.role,
            labels_[1].role.role);
      }
  }

  std::vector<Axis> said(size_t k) const {
    const AxisGuess& guess = labels_[k].axis;
    if (guess.any_length) return {Axis::q_len, Axis::kv_len};
    return {guess.axis};
  }

  /// The last axis that does not fit is told: where the queries' does, the keys' fit, as they
  /// seldom do.
  static double last_told(Form form, Axis a, Axis b, std::string_view letters, size_t at) {
    if (form != Form::elementwise && form != Form::expand) return 0;
    if (a != Axis::q_len || b != Axis::q_len) return 0;
    return letters.find('k', at) != letters.npos ? -2 : 0;
  }

  void pair(Form form, const Layout& one, const Layout& two, double score) {
    constexpr double in_tiles = 2;
    const bool of_layers = one.role == Role::hidden || two.role == Role::hidden;
    if (evidence_.tiles && of_layers) score -= in_tiles;
    if (evidence_.tiles)
      score += one.axes.size() == 2 && two.axes.size() == 2 ? in_tiles : -in_tiles / 2;
    const auto rank_a = static_cast<int64_t>(one.axes.size()),
               rank_b = static_cast<int64_t>(two.axes.size());
    const bool right = form == Form::elementwise || form == Form::expand || form == Form::copy;
    if (!right && rank_a != rank_b) return;
    const int64_t rank = std::max(rank_a, rank_b);
    double all_one = 0, all_two = 0;
    for (const Layout& row : layouts_of(one.role)) all_one += row.weight;
    for (const Layout& row : layouts_of(two.role)) all_two += row.weight;
    score += std::log(one.weight / all_one) +
             std::log(two.role == one.role && two.axes == one.axes ? .7 : two.weight / all_two);
    if (two.role == one.role && two.axes != one.axes) score += std::log(rank_a == rank_b ? .1 : .3);
    const bool joined = form == Form::concat && dimensions_ < 2;
    for (int64_t at = 0; at < rank; ++at) {
      const int64_t dim = dim_ == kNoDim ? kNoDim : dim_ < 0 ? rank + dim_ : dim_;
      if (dim != kNoDim && joined == (at == dim)) continue;
      if (dim != kNoDim && (dim < 0 || dim >= rank)) continue;
      const int64_t in_a = right ? at - (rank - rank_a) : at,
                    in_b = right ? at - (rank - rank_b) : at;
      if (in_a < 0 || in_b < 0) continue;
      const Axis a = axis_of_letter(one.axes[static_cast<size_t>(in_a)]),
                 b = axis_of_letter(two.axes[static_cast<size_t>(in_b)]);
      if (a == Axis::none || b == Axis::none) continue;
      // Where no dimension is told, it is mostly the last.
      const double share = dim != kNoDim ? (joined ? 1 / static_cast<double>(rank) : 1)
                           : at == rank - 1
                               ? .55
                               : .45 / static_cast<double>(std::max<int64_t>(1, rank - 1));
      meet(form, a, b, score + std::log(share), one.role, two.role,
           same_else(form, one.axes, two.axes, in_a, in_b) +
               last_told(form, a, b, one.axes, static_cast<size_t>(in_a)));
    }
  }

  /// What the other axes of the two layouts say: one error has one cause, so they agree.
  static double same_else(Form, std::string_view one, std::string_view two, int64_t in_a,
                          int64_t in_b) {
    double score = 0;
    for (int64_t back = 1; in_a + back < static_cast<int64_t>(one.size()) &&
                           in_b + back < static_cast<int64_t>(two.size());
         ++back) {
      const Axis a = axis_of_letter(one[static_cast<size_t>(in_a + back)]),
                 b = axis_of_letter(two[static_cast<size_t>(in_b + back)]);
      if (!is_same_kind(a, b) && a != Axis::none && b != Axis::none) score -= 1.5;
    }
    return score;
  }

  void meet(Form form, Axis a, Axis b, double score, Role role_a, Role role_b, double others) {
    score += others;
    const double here = a == b ? same(a, value(0), value(1))
                               : sizes_.log_chance(a, value(0)) + sizes_.log_chance(b, value(1));
    add({a, b}, score + here + by_label(0, a) + by_label(1, b), form, role_a, role_b);
    // A size that is known of another axis.
    constexpr double misplaced = -2;
    for (const bool first : {true, false}) {
      const Axis other = sizes_.other_axis_of(first ? value(0) : value(1), first ? a : b);
      if (other == Axis::none || value(first ? 0 : 1) < 2) continue;
      const Axis x = first ? other : a, y = first ? b : other;
      add({x, y},
          score + misplaced + sizes_.log_chance(x, value(0)) + sizes_.log_chance(y, value(1)) +
              by_label(0, x) + by_label(1, y),
          form, role_a, role_b);
    }
  }

  /// Both sizes are of one axis: the second is a multiple of the first, or near it, more often than
  /// by chance.
  double same(Axis axis, int64_t a, int64_t b) const {
    const double first = sizes_.log_chance(axis, a), second = sizes_.log_chance(axis, b);
    const double anchor = std::max(first, second);
    const int64_t less = std::min(a, b), more = std::max(a, b);
    double related = 0;
    if (less > 0 && more != less) {
      const bool multiple = more % less == 0;
      if (is_length(axis))
        related = more == less + 1                           ? .12
                  : more == 2 * less || more == 2 * less - 1 ? .08
                  : more - less <= 8                         ? .02
                  : multiple && more / less < 9              ? .01
                                                             : 0;
      else if (axis == Axis::batch || axis == Axis::batch_heads)
        related = multiple && less > 0 ? .25 / static_cast<double>(more / less) : 0;
      else if (is_heads(axis))
        related = multiple ? .2 / static_cast<double>(more / less) : 0;
      else
        related = more == 2 * less              ? .15
                  : more == less + 1            ? .05
                  : multiple && more / less < 9 ? .02
                                                : 0;
    }
    const double prior = log_prior(axis, anchor == first ? b : a);
    return anchor + std::log(related + .6 * std::exp(prior) + 1e-12);
  }

  double by_label(size_t k, Axis axis) const {
    constexpr double agrees = 5, against = 4;
    const AxisGuess& guess = labels_[k].axis;
    if (guess.axis == Axis::none) return 0;
    if (guess.axis == axis) return agrees * guess.strength;
    if (guess.any_length && (axis == Axis::q_len || axis == Axis::kv_len))
      return agrees * guess.strength - .2;
    if (is_same_kind(guess.axis, axis)) return agrees * guess.strength - 2;
    return -against * guess.strength * (labels_[k].inherited ? .5 : 1);
  }

  void add(std::pair<Axis, Axis> axes, double score, Form form, Role a, Role b) {
    auto [sum, is_new] = sums_.emplace(axes, score);
    if (!is_new) {
      const double most = std::max(sum->second, score);
      sum->second = most + std::log(std::exp(sum->second - most) + std::exp(score - most));
    }
    Scored& best = best_[axes];
    if (!is_new && best.score >= score) return;
    best.score = score;
    best.reading.form = form;
    best.reading.a = a;
    best.reading.b = b;
    best.reading.slots = {{numbers_[0], 0, value(0), axes.first, a}};
    if (numbers_.size() > 1)
      best.reading.slots.push_back({numbers_[1], 0, value(1), axes.second, b});
  }

  const std::vector<Mention>& mentions_;
  const Evidence& evidence_;
  SceneScore scene_;
  Sizes sizes_;
  int64_t dim_;
  size_t dimensions_ = static_cast<size_t>(
      std::count_if(mentions_.begin(), mentions_.end(),
                    [](const Mention& each) { return each.kind == Mention::Kind::dim; }));
  std::vector<size_t> numbers_;
  std::vector<NumberLabel> labels_;
  std::map<std::pair<Axis, Axis>, double> sums_;
  std::map<std::pair<Axis, Axis>, Scored> best_;
};

}  // namespace

NumberLabel label_of_number(const std::vector<Mention>& mentions, size_t index) {
  NumberLabel label;
  const Mention& number = mentions[index];
  if (!number.sizes[0].name.empty()) {
    label.axis = axis_of(number.sizes[0].name);
    return label;
  }
  const auto [last, rest] = phrases(number.before);
  label.role = label_before(last);
  label.axis = axis_of(last);
  if (label.axis.axis != Axis::none && label.axis.strength >= .5) return label;
  // "8 heads"
  std::string_view after =
      std::string_view(number.after).substr(0, number.after.find_first_of(".,;:()[]"));
  const std::vector<std::string> words = words_of(after);
  std::string phrase = "num";
  for (size_t k = 0; k < std::min<size_t>(2, words.size()); ++k) {
    phrase += " " + words[k];
    const AxisGuess guess = axis_of(phrase);
    if (after.starts_with(' ') && guess.axis != Axis::none && guess.axis != Axis::hidden &&
        guess.strength >= .7) {
      label.axis = guess;
      return label;
    }
  }
  label.inherited = true;
  const bool empty = words_of(last).size() <= 1;
  if (empty) label.axis = axis_of(rest);
  if (empty && label.axis.axis == Axis::none && index > 0) {
    const NumberLabel before =
        is_shape(mentions[index - 1]) ? NumberLabel{} : label_of_number(mentions, index - 1);
    label.axis = before.axis;
    label.role = before.role;
  }
  return label;
}

int64_t dimension_in(const std::vector<Mention>& mentions) {
  int64_t dim = kNoDim;
  for (const Mention& each : mentions)
    if (each.kind == Mention::Kind::dim) dim = each.sizes[0].value;
  return dim;
}

void solve_numbers(const std::vector<Mention>& mentions, const Evidence& evidence,
                   std::vector<Scored>& found) {
  Numbers(mentions, evidence).solve(found);
}

}  // namespace attnfuzz::triage
