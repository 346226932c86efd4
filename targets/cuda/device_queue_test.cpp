// What a device does and the emulation does not: work that is done later than it is asked for, and
// errors of the runtime. The runtime is a stand-in.
#include "targets/cuda/device_queue.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "targets/cuda/emulated_block.h"
#include "targets/cuda/entries.h"
#include "targets/plugin.h"
#include "targets/target.h"

namespace attnfuzz::cuda {
namespace {

/// A runtime whose copies and kernels run when they are waited for, and no sooner.
struct LazyApi {
  using Error = int;
  using Stream = int;
  static constexpr Error success = 0, out_of_memory = 2, invalid_value = 1, unknown = 999;

  /// What it was asked for, and which calls fail.
  struct State {
    std::vector<std::function<void()>> queue;
    std::map<void*, std::unique_ptr<std::byte[]>> allocated, host;
    int64_t waits = 0, gathers = 0, copies_out = 0, fills = 0, plain = 0, pooled = 0;
    size_t smallest = SIZE_MAX;
    std::map<std::string, Error> fails;  ///< once, by the call's name
    Error sticky = success;              ///< what each call returns from now on
  };
  static State& state() {
    static State all;
    return all;
  }

  static Error called(const std::string& name) {
    if (state().sticky != success) return state().sticky;
    const auto failure = state().fails.extract(name);
    return failure.empty() ? success : failure.mapped();
  }
  static Error create(Stream* stream) {
    *stream = 1;
    return called("create");
  }
  static void keep_freed_memory() {}
  static void* keep(std::map<void*, std::unique_ptr<std::byte[]>>& all, size_t bytes) {
    auto memory = std::make_unique<std::byte[]>(bytes);
    void* const at = memory.get();
    all[at] = std::move(memory);
    return at;
  }
  static Error new_memory(void** memory, size_t bytes, const std::string& name) {
    if (const Error error = called(name); error != success) return error;
    *memory = keep(state().allocated, bytes);
    state().smallest = std::min(state().smallest, bytes);
    return success;
  }
  static Error allocate(void** memory, size_t bytes) {
    ++state().plain;
    return new_memory(memory, bytes, "allocate");
  }
  static Error allocate_async(void** memory, size_t bytes, Stream) {
    ++state().pooled;
    return new_memory(memory, bytes, "allocate");
  }
  static Error allocate_host(void** memory, size_t bytes) {
    if (const Error error = called("allocate_host"); error != success) return error;
    *memory = keep(state().host, bytes);
    return success;
  }
  static void free_host(void* memory) { state().host.erase(memory); }
  static Error free(void* memory) {
    state().allocated.erase(memory);
    return called("free");
  }
  static Error free_async(void* memory, Stream) {
    later([memory] { LazyApi::free(memory); });
    return called("free_async");
  }
  static Error fill(void* memory, unsigned char byte, size_t bytes, Stream) {
    ++state().fills;
    later([=] { std::memset(memory, byte, bytes); });
    return called("fill");
  }
  static Error copy(void* to, const void* from, size_t bytes, Stream) {
    later([=] { std::memcpy(to, from, bytes); });
    return called("copy");
  }
  static Error copy_in(void* to, const void* from, size_t bytes, Stream s) {
    return copy(to, from, bytes, s);
  }
  static Error copy_out(void* to, const void* from, size_t bytes, Stream s) {
    ++state().copies_out;
    return copy(to, from, bytes, s);
  }
  static Error gather(const Pieces& pieces, Stream) {
    ++state().gathers;
    later([pieces] {
      constexpr size_t threads = 7;  // the last first: none may lean on another's part
      for (int k = 0; k < pieces.count; ++k)
        for (size_t thread = threads; thread-- > 0;) copy_part(pieces.piece[k], thread, threads);
    });
    return called("gather");
  }
  static void later(std::function<void()> work) { state().queue.push_back(std::move(work)); }
  static Error wait(Stream) {
    ++state().waits;
    for (const auto& work : std::exchange(state().queue, {})) work();
    return called("wait");
  }
  static void forget_error() {}
  static const char* text(Error error) {
    return error == unknown         ? "unknown error"
           : error == out_of_memory ? "out of memory"
                                    : "invalid argument";
  }
};

/// The emulated block on that runtime.
class LazyBackend : public DeviceQueue<LazyApi> {
 public:
  using Block = EmulatedBlock;
  static constexpr int64_t pitch = 0;
  static std::optional<LazyBackend>& made() {
    static std::optional<LazyBackend> backend;
    return backend;
  }
  static LazyBackend& instance() { return *made(); }

  explicit LazyBackend(bool sanitized) : DeviceQueue(sanitized) {}

  template <class T>
  EmulatedGlobal<T> global(const char* name, T* data, int64_t count) {
    return {name, data, count, &reports_};
  }
  template <class T>
  EmulatedGlobal<T> far(const char* name, T* data, int64_t count, int64_t) {
    return global(name, data, count);
  }
  template <class T>
  EmulatedGlobal<T> workspace(const char* name, T* data, int64_t count) {
    return global(name, data, count);
  }
  template <class Kernel>
  void launch(int64_t blocks, int64_t shared_bytes, const typename Kernel::Params& params) {
    if (!good()) return;
    if (shared_bytes > most_shared_bytes) return refuse("too much shared memory");
    LazyApi::later([this, blocks, shared_bytes, params] {
      EmulatedMemory memory(shared_bytes, reports_);
      for (int64_t index = 0; index < blocks; ++index) {
        EmulatedBlock block(index, memory);
        Kernel::run(block, params);
      }
    });
  }
  void capture() {}
  void replay() {}
  std::string notes() {
    std::string text = reports_.notes.text() + reports_.error.text();
    reports_ = {};
    return text;
  }

  int64_t most_shared_bytes = INT64_MAX;

 private:
  Reports reports_;
};

constexpr attnfuzz_target flash_target = flash_entry<LazyBackend>("flash", "");
constexpr attnfuzz_target paged_target = paged_entry<LazyBackend>("paged", "");

class DeviceQueueTest : public testing::Test {
 protected:
  DeviceQueueTest() { begin(false); }
  void begin(bool sanitized) {
    LazyBackend::made().reset();
    LazyApi::state() = {};
    LazyBackend::made().emplace(sanitized);
  }
  LazyBackend& queue() { return LazyBackend::instance(); }
  LazyApi::State& api() { return LazyApi::state(); }

  static Case flat() {
    Case c;
    c.problem.batch = 2;
    c.problem.num_heads = c.problem.num_kv_heads = 3;
    c.problem.q_len = 33;
    c.problem.kv_len = 40;
    c.problem.head_dim = c.problem.head_dim_v = 17;
    c.problem.mask.rules = {use_rule("padding", {int64_t{0}, std::vector<int64_t>{7, 40}})};
    return c;
  }
  static RuleUse use_rule(const std::string& name, std::vector<ParamValue> values) {
    RuleUse use;
    use.spec = find_rule(name);
    use.values = std::move(values);
    return use;
  }
  static Outcome run(const attnfuzz_target& entry, const Case& c) {
    return open_plugin_entry("lazy", entry)->run(c, make_inputs(c));
  }
};

TEST_F(DeviceQueueTest, WorkThatIsDoneLateGivesTheSameBits) {
  const Case c = flat();
  const Outcome late = run(flash_target, c);
  ASSERT_EQ(late.status, Status::ok) << late.text;
  const Outcome soon = open_target("cuda-emu:flash")->run(c, make_inputs(c));
  EXPECT_EQ(late.text, "");
  EXPECT_EQ(late.steps.at(0).out.bytes, soon.steps.at(0).out.bytes);
  queue().wait();
  EXPECT_TRUE(api().allocated.empty()) << "device memory that is kept";
}

TEST_F(DeviceQueueTest, OneLaunchAndOneWaitBringAllBack) {
  std::vector<int> a{1, 2, 3}, b{4, 5}, from_a(3), from_b(2);
  void* memory = queue().allocate(5 * sizeof(int));
  queue().copy_in(memory, a.data(), 3 * sizeof(int));
  queue().copy_in(static_cast<int*>(memory) + 3, b.data(), 2 * sizeof(int));
  queue().copy_out(from_b.data(), static_cast<int*>(memory) + 3, 2 * sizeof(int));
  queue().copy_out(from_a.data(), memory, 3 * sizeof(int));
  EXPECT_EQ(from_a, (std::vector<int>{0, 0, 0}));
  queue().wait();
  EXPECT_EQ(api().waits, 1);
  EXPECT_EQ(api().gathers, 1);
  EXPECT_EQ(api().copies_out, 0);
  EXPECT_EQ(from_a, a);
  EXPECT_EQ(from_b, b);
  queue().release(memory);
}

TEST_F(DeviceQueueTest, EachPieceComesBackWholeWhereverItBegins) {
  std::vector<unsigned char> there(5000);
  for (size_t k = 0; k < there.size(); ++k) there[k] = static_cast<unsigned char>(k % 251);
  std::vector<std::vector<unsigned char>> here;
  for (size_t k = 0; k < 300; ++k) here.emplace_back(1 + k * 7 % 90, 0xEE);
  for (size_t k = 0; k < here.size(); ++k)
    queue().copy_out(here[k].data(), there.data() + k * 13, here[k].size());
  queue().wait();
  EXPECT_EQ(api().gathers, 3) << "a launch takes " << Pieces::most << " pieces";
  for (size_t k = 0; k < here.size(); ++k)
    EXPECT_TRUE(std::equal(here[k].begin(), here[k].end(), there.data() + k * 13)) << k;
}

TEST_F(DeviceQueueTest, ACaseComesBackByOneLaunch) {
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
  EXPECT_EQ(api().gathers, 1);
  EXPECT_EQ(api().copies_out, 0);
}

TEST_F(DeviceQueueTest, ACaseWaitsForTheDeviceOnce) {
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
  EXPECT_EQ(api().waits, 1);
  queue().most_shared_bytes = 1000;
  EXPECT_EQ(run(flash_target, flat()).status, Status::declined);
  EXPECT_EQ(api().waits, 2) << "its inputs are still being copied where a case is declined";
}

TEST_F(DeviceQueueTest, ALaunchThatFailsIsAnErrorOfItsCase) {
  api().fails["gather"] = LazyApi::invalid_value;
  EXPECT_EQ(run(flash_target, flat()).text, "CUDA error: invalid argument");
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
}

TEST_F(DeviceQueueTest, ACheckerSeesEachCopyByItself) {
  begin(true);
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
  EXPECT_EQ(api().gathers, 0);
  EXPECT_GT(api().copies_out, 0);
}

TEST_F(DeviceQueueTest, AnErrorThatStaysIsStickyWhateverItsNumber) {
  for (const int number : {LazyApi::unknown, 226, 721, LazyApi::invalid_value}) {
    begin(false);
    api().sticky = number;
    bool sticky = false;
    queue().wait();
    EXPECT_NE(queue().error(sticky), "");
    EXPECT_TRUE(sticky) << number;
  }
}

TEST_F(DeviceQueueTest, AnErrorThatGoesAwayIsNot) {
  api().fails["copy"] = LazyApi::invalid_value;
  int x = 0;
  queue().copy_in(&x, &x, sizeof x);
  bool sticky = true;
  EXPECT_EQ(queue().error(sticky), "CUDA error: invalid argument");
  EXPECT_FALSE(sticky);
  EXPECT_EQ(queue().error(sticky), "");
}

TEST_F(DeviceQueueTest, WithoutAStreamTheProcessIsOfNoUse) {
  for (const int number : {LazyApi::unknown, LazyApi::out_of_memory}) {
    LazyBackend::made().reset();
    LazyApi::state() = {};
    LazyApi::state().fails["create"] = number;
    LazyBackend::made().emplace(false);
    const Outcome outcome = run(flash_target, flat());
    EXPECT_EQ(outcome.status, Status::error) << number;
    EXPECT_EQ(outcome.text, std::string("CUDA error: ") + LazyApi::text(number));
    EXPECT_TRUE(outcome.final);
  }
}

TEST_F(DeviceQueueTest, ErrorsOfTheLastCallsAreThisCasesAndNotTheNextOnes) {
  for (const char* last : {"free_async", "allocate_host"}) {
    begin(false);
    api().fails[last] = LazyApi::invalid_value;
    EXPECT_EQ(run(flash_target, flat()).text, "CUDA error: invalid argument") << last;
    EXPECT_EQ(run(flash_target, flat()).status, Status::ok) << last;
  }
}

TEST_F(DeviceQueueTest, WhatTheDeviceHasNoRoomForIsDeclined) {
  api().fails["allocate"] = LazyApi::out_of_memory;
  const Outcome memory = run(flash_target, flat());
  EXPECT_EQ(memory.status, Status::declined);
  EXPECT_EQ(memory.text, "the device has no memory left for this case");
  queue().most_shared_bytes = 1000;
  const Outcome shared = run(flash_target, flat());
  EXPECT_EQ(shared.status, Status::declined);
  EXPECT_EQ(shared.text, "too much shared memory");
  queue().most_shared_bytes = INT64_MAX;
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
}

TEST_F(DeviceQueueTest, AnErrorBesideADeclineIsAnErrorOfItsCase) {
  queue().most_shared_bytes = 1000;
  api().fails["wait"] = LazyApi::invalid_value;
  const Outcome outcome = run(flash_target, flat());
  EXPECT_EQ(outcome.status, Status::error);
  EXPECT_EQ(outcome.text, "CUDA error: invalid argument");
  EXPECT_EQ(run(flash_target, flat()).status, Status::declined);
  api().fails = {{"allocate", LazyApi::out_of_memory}, {"wait", LazyApi::invalid_value}};
  EXPECT_EQ(run(flash_target, flat()).text, "CUDA error: invalid argument");
}

TEST_F(DeviceQueueTest, WithoutRoomForItsCopiesACaseIsDeclined) {
  api().fails["allocate_host"] = LazyApi::out_of_memory;
  EXPECT_EQ(run(flash_target, flat()).status, Status::declined);
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
}

TEST_F(DeviceQueueTest, ACheckerSeesEachBufferUnwrittenInAnAllocationOfItsOwn) {
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
  EXPECT_EQ(api().plain, 0);
  EXPECT_GT(api().fills, 0);
  begin(true);
  EXPECT_EQ(run(flash_target, flat()).status, Status::ok);
  EXPECT_EQ(api().pooled, 0);
  EXPECT_EQ(api().fills, 0);
  EXPECT_TRUE(api().allocated.empty());
}

TEST_F(DeviceQueueTest, BuffersOfNothingHaveAByte) {
  begin(true);
  Case c = flat();
  c.problem.batch = 0;
  c.problem.mask.rules.clear();
  const Outcome outcome = run(flash_target, c);
  EXPECT_EQ(outcome.status, Status::ok) << outcome.text;
  EXPECT_GE(api().smallest, 1U);
}

TEST_F(DeviceQueueTest, ACachesStepsEndWithTheirErrors) {
  Case c;
  c.problem.batch = 2;
  c.problem.head_dim = c.problem.head_dim_v = 8;
  c.cache = Cache{};
  c.cache->kind = CacheKind::paged;
  c.cache->capacity = 40;
  c.cache->page_size = 4;
  Step prefill, reorder;
  prefill.op = StepOp::prefill;
  prefill.q_len = 5;
  reorder.op = StepOp::reorder;
  reorder.rows = {1, 0};
  c.steps = {prefill, reorder};
  EXPECT_EQ(run(paged_target, c).status, Status::ok);
  EXPECT_EQ(api().waits, 2) << "once a step";
  // Of the reorder, not of what comes after it: the prefill makes no copy on the device.
  const auto target = open_plugin_entry("lazy", paged_target);
  api().fails["copy"] = LazyApi::invalid_value;
  const Outcome outcome = target->run(c, make_inputs(c));
  EXPECT_EQ(outcome.text, "CUDA error: invalid argument");
  EXPECT_EQ(run(paged_target, c).status, Status::ok);
}

}  // namespace
}  // namespace attnfuzz::cuda
