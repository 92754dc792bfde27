// Signed levels of PCM cells: set out in the order of their writing, sorted, and the writes counted.
//
// Levels are single bytes and an array's slots lie side by side, so that one vector holds 64 cells. What one row of an
// array holds over all turns fits the nearest cache: every kernel reads and writes memory once.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "parallel.hpp"

namespace {

constexpr int8_t pad = -128;  // no cell is written here
constexpr int most = 63;      // |level|

// columns: [arrays, size or 1, turns, size], one order for each row of an array or one for all.
struct Order {
    int64_t arrays, size, turns, width;  // width: columns of the matrix
    bool shared;
    const int32_t *rows, *columns;

    const int32_t* of(int64_t row) const { return columns + (shared ? row / size : row) * turns * size; }
};

// What one array row is to hold at each turn and slot. A column of -1, and no other, may be outside.
bool set_out(const Order& order, const int8_t* levels, int64_t row, int8_t* held) {
    const int64_t places = order.turns * order.size, width = order.width;  // copies: a byte written may alias anything
    if (order.rows[row] < 0) {
        std::memset(held, pad, places);
        return true;
    }
    const int8_t* line = levels + order.rows[row] * width;
    const int32_t* from = order.of(row);
    bool sound = true;
    for (int64_t place = 0; place < places; ++place) {
        const int32_t column = from[place];
        const bool inside = column >= 0 && column < width;
        sound &= inside || column == -1;
        held[place] = inside ? line[column] : pad;
    }
    return sound;
}

bool set_out_rows(const Order& order, const int8_t* levels, int8_t* sequence, int64_t first, int64_t last) {
    bool sound = true;
    for (int64_t row = first; row < last; ++row)
        sound &= set_out(order, levels, row, sequence + row * order.turns * order.size);
    return sound;
}

// Which slots are cheaper to sweep from the top: those whose largest level is nearer to 0 than their smallest.
void choose(const Order& order, const int8_t* held, int8_t* downwards) {
    const int64_t size = order.size, places = order.turns * size;
    std::vector<int8_t> bounds(2 * size);
    int8_t *least = bounds.data(), *largest = least + size;
    std::fill(least, largest, most);
    std::fill(largest, largest + size, -most);
    for (int64_t place = 0; place < places; place += size)
        for (int64_t slot = 0; slot < size; ++slot) {
            const int8_t level = held[place + slot];
            least[slot] = std::min<int8_t>(least[slot], level == pad ? int8_t(most) : level);
            largest[slot] = std::max(largest[slot], level);
        }
    for (int64_t slot = 0; slot < size; ++slot)
        downwards[slot] = std::abs(least[slot]) > std::abs(largest[slot]) ? -1 : 0;
}

// Turns levels into keys from 0 on, empty places last; gives the number of keys.
int to_keys(const Order& order, const int8_t* downwards, int8_t* held) {
    const int64_t size = order.size, places = order.turns * size;
    int8_t reach = 0;
    for (int64_t place = 0; place < places; ++place) {
        const int8_t level = held[place] == pad ? 0 : held[place];
        reach = std::max<int8_t>(reach, level < 0 ? -level : level);
    }
    const int8_t last = 2 * reach + 1;
    for (int64_t place = 0; place < places; place += size)
        for (int64_t slot = 0; slot < size; ++slot) {
            const int8_t level = held[place + slot];
            const int8_t turned = (level ^ downwards[slot]) - downwards[slot];  // negated where downwards is -1
            held[place + slot] = level == pad ? last : int8_t(turned + reach);
        }
    return last + 1;
}

// Stable counting sort of every slot over the turns.
void sort_slots(const Order& order, const int32_t* from, const int8_t* keys, int number, int32_t* next,
                int32_t* sorted) {
    const int64_t size = order.size, places = order.turns * size;
    std::fill(next, next + number * size, 0);
    for (int64_t place = 0; place < places; place += size)
        for (int64_t slot = 0; slot < size; ++slot) next[keys[place + slot] * size + slot] += size;
    std::vector<int32_t> free(size);
    std::iota(free.begin(), free.end(), 0);
    for (int64_t key = 0; key < number * size; key += size)
        for (int64_t slot = 0; slot < size; ++slot) {
            const int32_t taken = next[key + slot];
            next[key + slot] = free[slot];
            free[slot] += taken;
        }
    for (int64_t place = 0; place < places; place += size)
        for (int64_t slot = 0; slot < size; ++slot) {
            int32_t& to = next[keys[place + slot] * size + slot];
            sorted[to] = from[place + slot];
            to += size;
        }
}

bool sort_rows(const Order& order, bool cheapest, const int8_t* levels, int32_t* sorted, int64_t first, int64_t last) {
    const int64_t places = order.turns * order.size;
    std::vector<int8_t> held(places), downwards(order.size, 0);
    std::vector<int32_t> next((2 * most + 2) * order.size);
    bool sound = true;
    for (int64_t row = first; row < last; ++row) {
        int32_t* to = sorted + row * places;
        if (order.rows[row] < 0) {
            std::fill(to, to + places, -1);
            continue;
        }
        sound &= set_out(order, levels, row, held.data());
        if (cheapest) choose(order, held.data(), downwards.data());
        const int number = to_keys(order, downwards.data(), held.data());
        sort_slots(order, order.of(row), held.data(), number, next.data(), to);
    }
    return sound;
}

// Sorts each whole row, empty places after the zeros, and cuts it into one run of `turns` for each slot.
bool cut_rows(const Order& order, const int8_t* levels, int32_t* cut, int64_t first, int64_t last) {
    const int64_t places = order.turns * order.size;
    std::vector<int8_t> held(places);
    std::vector<int32_t> sorted(places);
    bool sound = true;
    for (int64_t row = first; row < last; ++row) {
        sound &= set_out(order, levels, row, held.data());
        const auto key = [&](int64_t place) {
            const int level = held[place];
            return level == pad ? most + 1 : most + level + (level > 0);
        };
        int32_t starts[2 * most + 3] = {};
        for (int64_t place = 0; place < places; ++place) ++starts[key(place) + 1];
        for (int value = 1; value < 2 * most + 3; ++value) starts[value] += starts[value - 1];
        const int32_t* from = order.of(row);
        for (int64_t place = 0; place < places; ++place)
            sorted[starts[key(place)]++] = held[place] == pad ? -1 : from[place];
        for (int64_t turn = 0; turn < order.turns; ++turn)
            for (int64_t slot = 0; slot < order.size; ++slot)
                cut[row * places + turn * order.size + slot] = sorted[slot * order.turns + turn];
    }
    return sound;
}

constexpr int lanes = 64, window = 4;  // a byte holds the changes of four turns
typedef int8_t Levels __attribute__((vector_size(lanes)));
typedef uint8_t Sums __attribute__((vector_size(lanes)));

enum Kind { rises, falls, raised, lowered, cleared, kinds };

inline Levels load(const int8_t* from, int64_t width) {
    Levels levels;
    if (width == lanes) {
        __builtin_memcpy(&levels, from, lanes);
        return levels;
    }
    std::memset(&levels, pad, lanes);
    std::memcpy(&levels, from, width);
    return levels;
}

inline Levels larger(Levels a, Levels b) { return a > b ? a : b; }

// The writes of up to 64 neighbouring cell pairs of one array row, turn after turn.
struct Strip {
    const int8_t* from;
    int64_t turns, stride, width;
    Levels state{}, strange{};           // strange: where a level was out of range
    int32_t tallies[2][kinds][lanes]{};  // by sign
    Sums sums[2][kinds]{};

    Levels next(int64_t turn) const {
        const Levels read = load(from + turn * stride, width);
        return read == pad ? state : read;
    }

    void settle(bool backwards) {
        for (int64_t n = 0; n < turns; ++n) state = next(backwards ? turns - 1 - n : n);
    }

    // highest: the largest rise of each turn, and `falls_at` further on the largest fall.
    void sweep(bool backwards, Levels* highest, int64_t falls_at) {
        for (int64_t n = 0; n < turns; ++n) {
            const Levels now = next(backwards ? turns - 1 - n : n);
            strange |= (now > most) | (now < -most);
            Levels& highest_rise = highest[n];
            Levels& highest_fall = highest[falls_at + n];
            tally(0, state, now, highest_rise, highest_fall);
            tally(1, -state, -now, highest_rise, highest_fall);
            state = now;
            if (n % window == window - 1) flush();
        }
        flush();
    }

    void tally(int sign, Levels before, Levels after, Levels& highest_rise, Levels& highest_fall) {
        const Levels zero{}, to = larger(after, zero), change = to - larger(before, zero);
        const Levels up = larger(change, zero), down = larger(-change, zero);
        sums[sign][rises] += (Sums)up;
        sums[sign][falls] += (Sums)down;
        sums[sign][raised] -= (Sums)(change > 0);
        sums[sign][lowered] -= (Sums)(change < 0);
        sums[sign][cleared] -= (Sums)((change < 0) & (to == 0));
        highest_rise = larger(highest_rise, up);
        highest_fall = larger(highest_fall, down);
    }

    void flush() {
        for (int sign = 0; sign < 2; ++sign)
            for (int kind = 0; kind < kinds; ++kind) {
                uint8_t few[lanes];
                __builtin_memcpy(few, &sums[sign][kind], lanes);
                for (int lane = 0; lane < lanes; ++lane) tallies[sign][kind][lane] += few[lane];
                sums[sign][kind] = Sums{};
            }
    }
};

struct Counts {
    int64_t arrays, size, turns;
    int start;  // 0 erased, 1 repeat, 2 alternate
    const int8_t* sequence;
    int32_t *tallies, *highest;  // [kinds, arrays, 2, size, size], [2, passes * turns]
};

bool count_rows(const Counts& counts, int64_t first, int64_t last) {
    const int64_t size = counts.size, moments = counts.turns * (counts.start == 2 ? 2 : 1);
    std::vector<Levels> highest(2 * moments, Levels{});
    Levels strange{};
    for (int64_t row = first; row < last; ++row)
        for (int64_t slot = 0; slot < size; slot += lanes) {
            const int64_t width = std::min<int64_t>(lanes, size - slot);
            Strip strip{counts.sequence + row * counts.turns * size + slot, counts.turns, size, width};
            if (counts.start) strip.settle(counts.start == 2);
            strip.sweep(false, highest.data(), moments);
            if (counts.start == 2) strip.sweep(true, highest.data() + counts.turns, moments);
            strange |= strip.strange;
            for (int64_t part = 0; part < 2 * kinds; ++part) {
                const int64_t array = (part / 2 * counts.arrays + row / size) * 2 + part % 2;
                std::memcpy(counts.tallies + (array * size + row % size) * size + slot,
                            strip.tallies[part % 2][part / 2], width * sizeof(int32_t));
            }
        }
#pragma omp critical
    for (int64_t moment = 0; moment < 2 * moments; ++moment)
        for (int lane = 0; lane < lanes; ++lane)
            counts.highest[moment] = std::max<int32_t>(counts.highest[moment], highest[moment][lane]);
    bool sound = true;
    for (int lane = 0; lane < lanes; ++lane) sound &= !strange[lane];
    return sound;
}

// Whether `run` found every one of the array rows sound.
template <typename Run>
int all_sound(int64_t rows, int64_t work, int64_t threads, Run run) {
    int sound = 1;
    in_parallel(rows, work, threads, [&](int64_t first, int64_t last) {
        if (!run(first, last)) __atomic_store_n(&sound, 0, __ATOMIC_RELAXED);
    });
    return sound;
}

}  // namespace

#define ORDERED(NAME, WORK, MADE, RUN)                                                                                 \
    extern "C" int pcm_##NAME(int64_t arrays, int64_t size, int64_t turns, int64_t width, int64_t shared,              \
                              int64_t threads, const int8_t* levels, const int32_t* rows, const int32_t* columns,      \
                              MADE* made) {                                                                            \
        const Order order{arrays, size, turns, width, shared != 0, rows, columns};                                     \
        return all_sound(arrays * size, WORK * turns * size, threads,                                                  \
                         [=](int64_t first, int64_t last) { return RUN; });                                            \
    }

ORDERED(sequence, 1, int8_t, set_out_rows(order, levels, made, first, last))
ORDERED(sort_ascending, 4, int32_t, sort_rows(order, false, levels, made, first, last))
ORDERED(sort_cheapest, 4, int32_t, sort_rows(order, true, levels, made, first, last))
ORDERED(cut, 4, int32_t, cut_rows(order, levels, made, first, last))

extern "C" int pcm_count(int64_t arrays, int64_t size, int64_t turns, int64_t start, int64_t threads,
                         const int8_t* sequence, int32_t* tallies, int32_t* highest) {
    const Counts counts{arrays, size, turns, int(start), sequence, tallies, highest};
    return all_sound(arrays * size, turns * size, threads,
                     [&](int64_t first, int64_t last) { return count_rows(counts, first, last); });
}
