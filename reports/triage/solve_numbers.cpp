#include <algorithm>
#include <cmath>
#include <map>

#include "reports/triage/scenes.h"
#include "reports/triage/shape_fit.h"
#include "reports/triage/sizes_known.h"
#include "reports/triage/solving.h"

namespace attnfuzz::triage {
namespace {

/// Axes that a check for a limit or a divisor compares, whatever tensors have them.
struct Compared {
  Form form;
  Axis a, b;
  double weight;
};
constexpr Compared kCompared[] = {
    {Form::divide, Axis::hidden, Axis::num_heads, 5},
    {Form::divide, Axis::num_heads, Axis::num_kv_heads, 4},
    {Form::divide, Axis::num_heads, Axis::other, 2},
    {Form::divide, Axis::num_kv_heads, Axis::other, 1},
    {Form::divide, Axis::head_dim, Axis::other, 2},
    {Form::divide, Axis::hidden, Axis::other, .5},
    {Form::divide, Axis::q_len, Axis::chunk, .7},
    {Form::divide, Axis::q_len, Axis::window, .7},
    {Form::divide, Axis::kv_len, Axis::page_size, .7},
    {Form::divide, Axis::kv_len, Axis::chunk, .7},
    {Form::divide, Axis::kv_len, Axis::other, .5},
    {Form::divide, Axis::q_len, Axis::other, .5},
    {Form::divide, Axis::q_hidden, Axis::head_dim, 1},
    {Form::divide, Axis::hidden, Axis::head_dim, 1},
    {Form::limit, Axis::q_len, Axis::max_positions, 5},
    {Form::limit, Axis::kv_len, Axis::max_positions, 2},
    {Form::limit, Axis::kv_len, Axis::capacity, 2},
    {Form::limit, Axis::q_len, Axis::capacity, 1.5},
    {Form::limit, Axis::head_dim, Axis::other, 2.5},
    {Form::limit, Axis::head_dim, Axis::head_dim, 1.5},
    {Form::limit, Axis::batch, Axis::batch, 1},
    {Form::limit, Axis::num_pages, Axis::num_pages, 1},
    {Form::limit, Axis::tokens, Axis::max_positions, 1},
    {Form::limit, Axis::tokens, Axis::tokens, 1},
    {Form::limit, Axis::group, Axis::other, .5},
    {Form::index, Axis::past_len, Axis::max_positions, 2},
    {Form::index, Axis::q_len, Axis::max_positions, 2},
    {Form::index, Axis::num_pages, Axis::num_pages, 1},
};

class Numbers {
 public:
  Numbers(const std::vector<Mention>& mentions, const Evidence& evidence, const Weights& weights)
      : mentions_(mentions),
        evidence_(evidence),
        weights_(weights),
        scene_(evidence, weights),
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
    for (auto& [axes, way] : ways_) {
      Scored all{way.all, std::move(way.reading)};
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
      return word == "max" || word == "maximum" || word == "limit" || word == "only";
    });
    const bool of_length = labels_[k].inherited && is_length(labels_[k - 1].axis.axis);
    const bool block = labels_[k].axis.axis == Axis::page_size;  // as GPT calls its positions
    if (limit && (of_length || block)) labels_[k].axis = {Axis::max_positions, .7, false};
    // "start (1022) + length (3) exceeds dimension size (1024)"
    if (k >= 2 && mentions_[numbers_[k]].before.find("exceed") != std::string::npos)
      labels_[k].axis = {Axis::capacity, .7, false};
  }

  int64_t value(size_t k) const { return mentions_[numbers_[k]].sizes[0].value; }

  /// The third number and those behind it: by their words, or as an equal one before.
  Axis axis_of_more(size_t k, const Candidate& reading) const {
    const AxisGuess& label = labels_[k].axis;
    const bool past = labels_[0].axis.axis == Axis::past_len && label.axis == Axis::capacity;
    if (label.strength >= .5 && (past || !labels_[k].inherited)) return label.axis;
    for (const Slot& slot : reading.slots)
      if (slot.value == value(k)) return slot.axis;
    if (labels_[k].same && reading.slots.back().axis != Axis::none)
      return reading.slots.back().axis;
    return label.strength >= .5 ? label.axis : Axis::none;
  }

  void one() {
    for (size_t a = 1; a < static_cast<size_t>(Axis::elements); ++a) {
      const auto axis = static_cast<Axis>(a);
      const bool unnamed = axis == Axis::latent && labels_[0].axis.axis != axis;
      if (axis == Axis::other || axis == Axis::pair || axis == Axis::triple || unnamed) continue;
      Score score(weights_);
      score.add(Term::scene, -1);
      score.add(Term::size, size_of(0, axis, Role::none));
      score.add(Term::number, by_label(0, axis));
      add({axis, Axis::none}, score, Form::limit, labels_[0].role.role, Role::none);
    }
    if (dim_ != kNoDim) by_roles_dim(0);
  }

  /// "dimension 3 of past_key": the layouts of that tensor say the axis.
  void by_roles_dim(size_t k) {
    for (size_t r = 1; r < static_cast<size_t>(Role::count); ++r)
      for (const Layout& layout : evidence_.layouts(static_cast<Role>(r))) {
        const Axis axis = axis_at(layout.axes, dim_);
        if (axis == Axis::none) continue;
        Score score(weights_);
        score.add(Term::layout, std::log(layout.weight / 20));
        score.add(Term::words, 2 * scene_.of_role(layout.role) + scene_.if_unnamed(layout.role));
        score.add(Term::size, sizes_.log_chance(axis, value(k)));
        score.add(Term::number, by_label(k, axis));
        add({axis, Axis::none}, score, Form::equal, layout.role, Role::none);
      }
  }

  static Axis axis_at(std::string_view letters, int64_t dim) {
    const auto rank = static_cast<int64_t>(letters.size());
    const int64_t at = dim < 0 ? rank + dim : dim;
    return at < 0 || at >= rank ? Axis::none : axis_of_letter(letters[static_cast<size_t>(at)]);
  }

  void two() {
    for (const Scene& scene : scene_.all())
      for (const bool swapped : {false, true}) {
        if (swapped && scene.a == scene.b) continue;
        const Role first = swapped ? scene.b : scene.a, second = swapped ? scene.a : scene.b;
        Score score = scene_.of(scene);
        score.add(Term::scene, -.69);
        for (const Layout& one : evidence_.layouts(first))
          for (const Layout& two : evidence_.layouts(second)) pair(scene.form, one, two, score);
      }
    for (const Compared& row : kCompared) {
      if (evidence_.form(row.form) == 0) continue;
      for (const bool swapped : {false, true}) {
        const Axis a = swapped ? row.b : row.a, b = swapped ? row.a : row.b;
        if (swapped && a == b) continue;
        Score score(weights_);
        score.add(Term::scene, std::log(row.weight / 10) - .69);
        score.add(Term::form, 1.3 * evidence_.form(row.form));
        add_sizes(score, a, b);
        add({a, b}, score, row.form, Role::none, Role::none);
      }
    }
    by_pattern();
    // As the words say, whatever meets.
    for (const Axis a : said(0))
      for (const Axis b : said(1)) {
        Score score(weights_);
        score.add(Term::scene, -3);
        add_sizes(score, a, b);
        add({a, b}, score, Form::equal, labels_[0].role.role, labels_[1].role.role);
      }
  }

  /// An einsum's pattern says what stands on the axis that the message names.
  void by_pattern() {
    constexpr double sure = 4;
    if (dim_ < 0 || evidence_.pattern.size() < 3) return;
    const auto at = static_cast<size_t>(dim_);
    if (at >= evidence_.pattern[0].size() || at >= evidence_.pattern[1].size()) return;
    const Axis a = evidence_.pattern[0][at].axis, first = evidence_.pattern[1][at].axis;
    if (a == Axis::none || first == Axis::none) return;
    const Axis b = first == Axis::num_heads ? Axis::num_kv_heads : first;
    for (const bool swapped : {false, true}) {
      const Axis x = swapped ? b : a, y = swapped ? a : b;
      Score score(weights_);
      score.add(Term::word, sure);
      add_sizes(score, x, y);
      add({x, y}, score, Form::matmul, swapped ? Role::k : Role::q, swapped ? Role::q : Role::k);
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

  static bool is_of_layers(Role role) { return role == Role::hidden || role == Role::weight; }

  void pair(Form form, const Layout& one, const Layout& two, Score score) {
    constexpr double in_tiles = 2;
    const bool of_layers = is_of_layers(one.role) || is_of_layers(two.role);
    if (evidence_.tiles && of_layers) score.add(Term::layout, -in_tiles);
    if (evidence_.tiles)
      score.add(Term::layout,
                one.axes.size() == 2 && two.axes.size() == 2 ? in_tiles : -in_tiles / 2);
    const auto rank_a = static_cast<int64_t>(one.axes.size()),
               rank_b = static_cast<int64_t>(two.axes.size());
    const bool right = form == Form::elementwise || form == Form::expand || form == Form::copy;
    const bool left = form == Form::index;  // a boolean mask covers the first axes
    if (!right && !left && rank_a != rank_b) return;
    const int64_t rank = std::max(rank_a, rank_b);
    double all_one = 0, all_two = 0;
    for (const Layout& row : evidence_.layouts(one.role)) all_one += row.weight;
    for (const Layout& row : evidence_.layouts(two.role)) all_two += row.weight;
    score.add(
        Term::layout,
        std::log(one.weight / all_one) +
            std::log(two.role == one.role && two.axes == one.axes ? .7 : two.weight / all_two));
    score.add(Term::layout, log_beside(one, two.role, form) + log_beside(two, one.role, form));
    if (!evidence_.stated.empty())
      score.add(Term::word, by_stated(evidence_.stated, one.role, axes_of_letters(one.axes)) +
                                by_stated(evidence_.stated, two.role, axes_of_letters(two.axes)));
    if (two.role == one.role && two.axes != one.axes)
      score.add(Term::layout, std::log(rank_a == rank_b ? .1 : .3));
    const bool joined = form == Form::concat && dimensions_ < 2;
    for (int64_t at = 0; at < rank; ++at) {
      const int64_t dim = dim_ == kNoDim ? kNoDim : dim_ < 0 ? rank + dim_ : dim_;
      if (dim != kNoDim && joined == (at == dim)) continue;
      if (dim != kNoDim && (dim < 0 || dim >= rank)) continue;
      const int64_t in_a = right ? at - (rank - rank_a) : at,
                    in_b = right ? at - (rank - rank_b) : at;
      if (in_a < 0 || in_b < 0 || in_a >= rank_a || in_b >= rank_b) continue;
      const Axis a = axis_of_letter(one.axes[static_cast<size_t>(in_a)]),
                 b = axis_of_letter(two.axes[static_cast<size_t>(in_b)]);
      if (a == Axis::none || b == Axis::none) continue;
      // Keys and values side by side are two everywhere.
      if (a == b && (a == Axis::pair || a == Axis::triple)) continue;
      // Where no dimension is told, it is mostly the last.
      const double share = dim != kNoDim ? (joined ? 1 / static_cast<double>(rank) : 1)
                           : at == rank - 1
                               ? .55
                               : .45 / static_cast<double>(std::max<int64_t>(1, rank - 1));
      Score here = score;
      here.add(Term::dim,
               std::log(share) + last_told(form, a, b, one.axes, static_cast<size_t>(in_a)));
      here.add(Term::lie, same_else(one, two, in_a, in_b) + same_here(a, b));
      meet(form, a, b, here, one.role, two.role);
    }
  }

  /// What the axes behind those that are told say: they would have been told if they did not agree,
  /// so they do, or one has a size of 1 there.
  static double same_else(const Layout& one, const Layout& two, int64_t in_a, int64_t in_b) {
    constexpr double by_chance = .15;
    double score = 0;
    for (int64_t back = 1; in_a + back < static_cast<int64_t>(one.axes.size()) &&
                           in_b + back < static_cast<int64_t>(two.axes.size());
         ++back) {
      const Axis a = axis_of_letter(one.axes[static_cast<size_t>(in_a + back)]),
                 b = axis_of_letter(two.axes[static_cast<size_t>(in_b + back)]);
      if (is_same_kind(a, b) || a == Axis::none || b == Axis::none) continue;
      const double neither = (1 - chance_of_one(one.role, a)) * (1 - chance_of_one(two.role, b));
      score += std::log(1 - (1 - by_chance) * neither);
    }
    return score;
  }

  /// What meets is one axis in both, as a rule, as in shapes that are told whole.
  static double same_here(Axis a, Axis b) {
    constexpr double kind = -.4, other = -1.2;
    return a == b ? 0 : is_same_kind(a, b) ? kind : other;
  }

  void meet(Form form, Axis a, Axis b, const Score& before, Role role_a, Role role_b) {
    Score score = before;
    add_sizes(score, a, b, role_a, role_b);
    add({a, b}, score, form, role_a, role_b);
    // A size that is known of another axis.
    constexpr double misplaced = -2;
    for (const bool first : {true, false}) {
      const Axis other = sizes_.other_axis_of(first ? value(0) : value(1), first ? a : b);
      if (other == Axis::none || value(first ? 0 : 1) < 2) continue;
      const Axis x = first ? other : a, y = first ? b : other;
      Score moved = before;
      moved.add(Term::misplaced, misplaced);
      moved.add(Term::size, sizes_.log_chance(x, value(0)) + sizes_.log_chance(y, value(1)));
      moved.add(Term::number, by_label(0, x) + by_label(1, y));
      add({x, y}, moved, form, role_a, role_b);
    }
  }

  /// Of a size that its words name: errors complain about odd ones.
  double size_of(size_t k, Axis axis, Role role) const {
    constexpr double oddest = -5;
    const double log = sizes_.chance(axis, value(k), role).log;
    const AxisGuess& label = labels_[k].axis;
    return label.axis == axis && label.strength >= .6 ? std::max(log, oddest) : log;
  }

  void add_sizes(Score& score, Axis a, Axis b, Role role_a = Role::none,
                 Role role_b = Role::none) const {
    const double first = size_of(0, a, role_a), second = size_of(1, b, role_b);
    const bool both = sizes_.is_told(a, value(0), role_a) && sizes_.is_told(b, value(1), role_b);
    if (a == b && both) {
      score.add(Term::size, first + second);
    } else if (a == b) {
      score.add(Term::size, std::max(first, second));
      score.add(Term::conflict, sizes_.log_neither(a, value(0), value(1)));
      constexpr double another = .6;
      const bool from_first = first > second;
      // The other may be what other sizes give: hidden over heads where head_dim is told.
      const double near =
          log_near(a, from_first ? value(1) : value(0), from_first ? value(0) : value(1));
      score.add(Term::near, std::max(near, std::min(first, second) + std::log(another)));
      // The other is no axis of size 1 either.
      score.add(Term::one, std::log(1 - chance_of_one(from_first ? role_b : role_a, a)));
    } else {
      score.add(Term::size, first + second);
    }
    score.add(Term::near, grouped(a, b));
    constexpr double seldom = -3;
    const bool twice = labels_[1].instead && a != b;
    score.add(Term::number, by_label(0, a) + by_label(1, b) + (twice ? seldom : 0));
  }

  /// Where the report speaks of fewer heads with keys, two numbers of heads are those of queries
  /// and of keys.
  double grouped(Axis a, Axis b) const {
    constexpr double agrees = 2.2, against = -1.2;
    if (!evidence_.grouped || !is_heads(a) || !is_heads(b)) return 0;
    if (a == b) return value(0) == value(1) ? 0 : against;
    const int64_t all = a == Axis::num_heads ? value(0) : value(1),
                  with_keys = a == Axis::num_heads ? value(1) : value(0);
    return with_keys > 0 && all > with_keys && all % with_keys == 0 ? agrees : against;
  }

  double by_label(size_t k, Axis axis) const {
    constexpr double agrees = 5, against = 4;
    const AxisGuess& guess = labels_[k].axis;
    if (guess.axis == Axis::none) return 0;
    if (guess.axis == axis) return agrees * guess.strength;
    if (labels_[k].same && !guess.any_length) return -against * guess.strength;
    if (guess.any_length && (axis == Axis::q_len || axis == Axis::kv_len))
      return agrees * guess.strength - .2;
    if (is_same_kind(guess.axis, axis)) return agrees * guess.strength - 2;
    return -against * guess.strength * (labels_[k].inherited ? .5 : 1);
  }

  void add(std::pair<Axis, Axis> axes, const Score& score, Form form, Role a, Role b) {
    auto [at, is_new] = ways_.try_emplace(axes, Way{score, score.total(), {}});
    Way& way = at->second;
    if (!is_new) {
      way.all.merge(score);
      if (way.best >= score.total()) return;
      way.best = score.total();
    }
    way.reading.form = form;
    way.reading.a = a;
    way.reading.b = b;
    way.reading.slots = {{numbers_[0], 0, value(0), axes.first, a}};
    if (numbers_.size() > 1)
      way.reading.slots.push_back({numbers_[1], 0, value(1), axes.second, b});
  }

  /// All that comes to the same axes.
  struct Way {
    Score all;
    double best;  ///< of those in it
    Candidate reading;
  };

  const std::vector<Mention>& mentions_;
  const Evidence& evidence_;
  const Weights& weights_;
  SceneScore scene_;
  Sizes sizes_;
  int64_t dim_;
  size_t dimensions_ = static_cast<size_t>(
      std::count_if(mentions_.begin(), mentions_.end(),
                    [](const Mention& each) { return each.kind == Mention::Kind::dim; }));
  std::vector<size_t> numbers_;
  std::vector<NumberLabel> labels_;
  std::map<std::pair<Axis, Axis>, Way> ways_;
};

}  // namespace

void solve_numbers(const std::vector<Mention>& mentions, const Evidence& evidence,
                   const Weights& weights, std::vector<Scored>& found) {
  Numbers(mentions, evidence, weights).solve(found);
}

}  // namespace attnfuzz::triage
