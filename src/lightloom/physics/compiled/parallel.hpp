// Blocks are independent: cut them into runs, one thread per run.
#pragma once

#include <algorithm>
#include <cstdint>

// Waking a thread costs some microseconds, so each gets at least this much work (in multiply-add pairs).
constexpr int64_t work_per_thread = int64_t(1) << 17;

// Calls run(first, last) on runs of items that together cover [0, items). OpenMP's threads are torch's own where both
// link the same runtime: they are awake already, and no others compete with them for the cores.
template <typename Run>
void in_parallel(int64_t items, int64_t work_per_item, int64_t threads, Run run) {
    const int64_t worth = items * work_per_item / work_per_thread;
    const int64_t workers = std::max<int64_t>(1, std::min({threads, worth, items}));
#pragma omp parallel for num_threads(workers) schedule(static, 1) if (workers > 1)
    for (int64_t worker = 0; worker < workers; ++worker)
        run(items * worker / workers, items * (worker + 1) / workers);
}
