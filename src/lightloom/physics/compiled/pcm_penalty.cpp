// The terms of the write-aware penalty, over the turns that phase-change arrays take, and their slopes.
//
// An array row's weights all come from one row of the matrix, whose levels are bytes: they stay in the nearest cache
// while they are put in order, compared and turned into slopes.
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "wide.hpp"

namespace {

constexpr int8_t pad = -128;  // nothing sits here
constexpr int64_t work = 10;  // multiply-add pairs that a weight is worth, at least

// Where the cells find their weights. Rows: [arrays, size] rows of the matrix, -1 none. Columns: [arrays, 1 or size,
// turns, size] columns of the matrix, anything else none; null where they are as they come.
struct Layout {
    int64_t arrays, size, turns, width, private_columns;
    const int32_t *rows, *columns;

    // What one array row holds is [turns, stride]: each turn begins a vector.
    template <typename T>
    int64_t stride() const {
        return (size + Wide<T>::lanes - 1) / Wide<T>::lanes * Wide<T>::lanes;
    }

    // Calls run(start of a turn in the row, its columns or null, the first of them, their number) for all turns.
    template <typename Run>
    void for_turns(int64_t row, int64_t stride, Run run) const {
        const int32_t* from = columns ? columns + (private_columns ? row : row / size) * turns * size : nullptr;
        for (int64_t turn = 0; turn < turns; ++turn)
            run(turn * stride, from ? from + turn * size : nullptr, turn * size, std::min(size, width - turn * size));
    }
};

// The levels that an array row takes, into a `sequence` whose rest is pad. Returns how many there are.
int64_t unroll(const Layout& layout, int64_t row, int64_t stride, const int8_t* levels, int8_t* sequence) {
    const int8_t* __restrict from = levels + layout.rows[row] * layout.width;
    const uint32_t width = layout.width;
    const int64_t size = layout.size;
    int64_t found = 0;
    layout.for_turns(row, stride, [&](int64_t start, const int32_t* columns, int64_t first, int64_t count) {
        int8_t* __restrict to = sequence + start;
        if (!columns) {
            std::memcpy(to, from + first, count);
            found += count;
            return;
        }
        int64_t inside = 0;
        for (int64_t slot = 0; slot < size; ++slot) {
            const uint32_t column = columns[slot];  // -1 is beyond any width
            to[slot] = column < width ? from[column] : pad;
            inside += column < width;
        }
        found += inside;
    });
    return found;
}

// The way back: what belongs to each column of the matrix's row.
template <typename T>
void roll(const Layout& layout, int64_t row, int64_t stride, const T* terms, T* __restrict joined) {
    const uint32_t width = layout.width;
    const int64_t size = layout.size;
    layout.for_turns(row, stride, [=](int64_t start, const int32_t* columns, int64_t first, int64_t count) {
        const T* __restrict from = terms + start;
        if (!columns) {
            std::memcpy(joined + first, from, count * sizeof(T));
            return;
        }
        for (int64_t slot = 0; slot < size; ++slot)
            if (uint32_t(columns[slot]) < width) joined[columns[slot]] = from[slot];
    });
}

// What cells are compared with: references [rows, size] in levels, which array rows take in turn, or, if null, what
// they held before; before the first turn that is level 0 (start 0), the last turn's (1) or nothing (2).
template <typename T>
struct Aim {
    int64_t start, rows;
    const T* reference;
};

// The terms of one array row after the other.
template <typename T, bool squared>
struct Terms {
    const Layout& layout;
    const int64_t stride, turns;
    std::vector<int8_t> sequence;
    std::vector<T> slopes;  // d term / d level of each cell

    explicit Terms(const Layout& given)
        : layout(given),
          stride(given.stride<T>()),
          turns(given.turns),
          sequence(turns * stride, pad),
          slopes(turns * stride) {}

    static Vector<T> term(Vector<T> d) { return squared ? d * d : d < 0 ? -d : d; }
    static Vector<T> rise(Vector<T> d) { return squared ? 2 * d : d > 0 ? all(T(1)) : d < 0 ? all(T(-1)) : d; }

    Vector<T> level(int64_t at) const {
        return __builtin_convertvector(load_bytes<T>(sequence.data() + at), Vector<T>);
    }

    // Differences from a reference per slot, in the vector of slots from `slot` on.
    Vector<T> compare(int64_t slot, Vector<T> reference) {
        Vector<T> sum{};
        for (int64_t at = slot; at < turns * stride; at += stride) {
            const Vector<T> now = level(at), d = now == pad ? Vector<T>{} : now - reference;
            sum += term(d);
            store<T>(rise(d), slopes.data() + at);
        }
        return sum;
    }

    // Differences from what a cell held before; a place that holds nothing changes nothing.
    Vector<T> follow(int64_t slot, int64_t start) {
        Vector<T> before = all(T(start == 2 ? pad : 0)), sum{};
        for (int64_t at = slot; start == 1 && at < turns * stride; at += stride) {
            const Vector<T> now = level(at);
            before = now == pad ? before : now;
        }
        for (int64_t at = slot; at < turns * stride; at += stride) {
            const Vector<T> now = level(at), d = (now == pad) | (before == pad) ? Vector<T>{} : now - before;
            sum += term(d);
            store<T>(rise(d), slopes.data() + at);
            before = now == pad ? before : now;
        }
        release(slot, start == 1);
        return sum;
    }

    // A level is also what the next one is compared with: each slope loses that of the cell's next term, which after
    // the last turn is the first turn's where the order is closed to a ring.
    void release(int64_t slot, bool ring) {
        Vector<T> next{};
        for (int64_t at = (turns - 1) * stride + slot; ring && at >= 0; at -= stride)
            next = level(at) == pad ? next : load(slopes.data() + at);
        for (int64_t at = (turns - 1) * stride + slot; at >= 0; at -= stride) {
            const Vector<T> own = load(slopes.data() + at);
            const Bits<T> empty = level(at) == pad;
            store<T>(empty ? own : own - next, slopes.data() + at);
            next = empty ? next : own;
        }
    }

    // Fills `slopes` for one array row; gives the sum of its terms and the number of its weights.
    void run(int64_t row, const Aim<T>& aim, const int8_t* levels, double found[2]) {
        found[0] = 0;
        found[1] = unroll(layout, row, stride, levels, sequence.data());
        const T* reference = aim.reference ? aim.reference + row % aim.rows * layout.size : nullptr;
        for_vectors<T>(0, layout.size, [&](int64_t slot, int64_t count) {
            const Vector<T> sum = reference ? compare(slot, load(reference + slot, count)) : follow(slot, aim.start);
            for (int lane = 0; lane < Wide<T>::lanes; ++lane) found[0] += sum[lane];
        });
    }
};

void sum_rows(const Layout& layout, const int8_t* levels, int32_t* total, int32_t* number, int64_t first,
              int64_t last) {
    using Float = float;  // of its integers
    const int64_t stride = layout.stride<Float>();
    std::vector<int8_t> sequence(layout.turns * stride, pad);
    for (int64_t row = first; row < last; ++row) {
        const bool used = layout.rows[row] >= 0;
        if (used) unroll(layout, row, stride, levels, sequence.data());
        for_vectors<Float>(0, layout.size, [&](int64_t slot, int64_t count) {
            Bits<Float> sum{}, weights{};
            for (int64_t at = slot; used && at < layout.turns * stride; at += stride) {
                const Bits<Float> now = load_bytes<Float>(sequence.data() + at);
                sum += now == pad ? 0 : now;
                weights -= now != pad;
            }
            std::memcpy(total + row * layout.size + slot, &sum, count * sizeof *total);
            std::memcpy(number + row * layout.size + slot, &weights, count * sizeof *number);
        });
    }
}

template <typename T, bool squared>
void cost_rows(const Layout& layout, const Aim<T>& aim, const int8_t* levels, double* found, int64_t first,
               int64_t last) {
    Terms<T, squared> terms(layout);
    for (int64_t row = first; row < last; ++row) {
        found[2 * row] = found[2 * row + 1] = 0;
        if (layout.rows[row] >= 0) terms.run(row, aim, levels, found + 2 * row);
    }
}

// A matrix in training, [rows, width]: the gradient of its weights, or null, and of the terms; and by |level| the
// offset and growth of d u / d level = offset + growth * |u| with u = gain * tanh(value / gain).
template <typename T>
struct Matrix {
    int64_t levels;
    T gain, share;
    const T *values, *grad, *offsets, *growths;
    T* slope;
};

template <typename T, bool squared>
void pull_rows(const Layout& layout, const Aim<T>& aim, const int8_t* levels, const Matrix<T>& matrix, int64_t first,
               int64_t last) {
    Terms<T, squared> terms(layout);
    const Table<T> offsets(matrix.offsets, matrix.levels), growths(matrix.growths, matrix.levels);
    std::vector<T> joined(layout.width);
    double found[2];
    for (int64_t row = first; row < last; ++row) {
        if (layout.rows[row] < 0) continue;
        const int64_t from = layout.rows[row] * layout.width;
        terms.run(row, aim, levels, found);
        roll(layout, row, terms.stride, terms.slopes.data(), joined.data());
        for_vectors<T>(from, from + layout.width, [&](int64_t i, int64_t count) {
            const Bits<T> level = load_bytes<T>(levels + i, count), passed = level < 0 ? -level : level;
            const Bound<T> bound(load(matrix.values + i, count), matrix.gain);
            const Vector<T> pulled = matrix.share * load(joined.data() + i - from, count);
            Vector<T> sum = pulled / (offsets[passed] + growths[passed] * bound.size);
            if (matrix.grad) sum += load(matrix.grad + i, count);
            store<T>(sum * bound.slope, matrix.slope + i, count);
        });
    }
}

}  // namespace

#define LAYOUT                                                                                                         \
    int64_t arrays, int64_t size, int64_t turns, int64_t width, int64_t private_columns, int64_t threads,              \
        const int32_t *rows, const int32_t *columns

extern "C" void pcm_sums(LAYOUT, const int8_t* levels, int32_t* total, int32_t* number) {
    const Layout layout{arrays, size, turns, width, private_columns, rows, columns};
    in_parallel(arrays * size, turns * size, threads, [=](int64_t first, int64_t last) {
        sum_rows(layout, levels, total, number, first, last);
    });
}

#define PCM(NAME, T)                                                                                                   \
    extern "C" void pcm_cost_##NAME(LAYOUT, int64_t squared, int64_t start, int64_t reference_rows,                    \
                                    const T* reference, const int8_t* levels, double* found) {                         \
        const Layout layout{arrays, size, turns, width, private_columns, rows, columns};                               \
        const Aim<T> aim{start, reference_rows, reference};                                                            \
        in_parallel(arrays * size, turns * size * work, threads, [=](int64_t first, int64_t last) {                    \
            (squared ? cost_rows<T, true> : cost_rows<T, false>)(layout, aim, levels, found, first, last);             \
        });                                                                                                            \
    }                                                                                                                  \
    extern "C" void pcm_pull_##NAME(LAYOUT, int64_t squared, int64_t start, int64_t reference_rows,                    \
                                    const T* reference, const int8_t* levels, int64_t count, double gain,              \
                                    double share, const T* values, const T* grad, const T* offsets, const T* growths,  \
                                    T* slope) {                                                                        \
        const Layout layout{arrays, size, turns, width, private_columns, rows, columns};                               \
        const Aim<T> aim{start, reference_rows, reference};                                                            \
        const Matrix<T> matrix{count, T(gain), T(share), values, grad, offsets, growths, slope};                       \
        in_parallel(arrays * size, turns * size * work, threads, [=](int64_t first, int64_t last) {                    \
            (squared ? pull_rows<T, true> : pull_rows<T, false>)(layout, aim, levels, matrix, first, last);            \
        });                                                                                                            \
    }

PCM(float32, float)
PCM(float64, double)
