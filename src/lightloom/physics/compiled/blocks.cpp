// Weight matrices of small blocks U diag(sigma) V, and the gradient of sigma, straight from and into the joined matrix.
//
// Batched matrix products of 8 x 8 or 9 x 9 blocks spend their time on overhead and on moving blocks about. Here the
// block size is known when the loop is compiled, a row of a block is one vector, and no block is ever copied out.
#include <cstdint>

#include "parallel.hpp"

namespace {

constexpr int smallest = 2, largest = 16;

struct Shape {
    int64_t groups, p, q, rows, columns;
};

// A row of a block in one vector: the next power of two of lanes, of which the first K count.
template <typename T, int K>
struct Row {
    static constexpr int lanes = K <= 2 ? 2 : K <= 4 ? 4 : K <= 8 ? 8 : 16;
    typedef T Vector __attribute__((vector_size(lanes * sizeof(T)), aligned(sizeof(T)), may_alias));

    // Reads whole vectors, past the K values that count, as long as `left` values follow in memory.
    static Vector load(const T* from, int64_t left) {
        if (left >= lanes) return *reinterpret_cast<const Vector*>(from);
        Vector row{};
        for (int64_t j = 0; j < left; ++j) row[j] = from[j];
        return row;
    }
};

// U, V: [groups, p, q, K, K]; sigma: [groups, p, q, K]; joined: [groups, rows, columns].
template <typename T, int K>
void assemble_rows(const Shape& shape, const T* u, const T* sigma, const T* v, T* joined, int64_t first, int64_t last) {
    using R = Row<T, K>;
    using Vector = typename R::Vector;
    const int64_t values = shape.groups * shape.p * shape.q * K * K;
    for (int64_t row = first; row < last; ++row) {  // a row of blocks of one group
        const int64_t top = row % shape.p * K, height = std::min<int64_t>(K, shape.rows - top);
        T* output = joined + (row / shape.p * shape.rows + top) * shape.columns;
        for (int64_t column = 0; column < shape.q; ++column) {
            const int64_t block = row * shape.q + column, left = column * K;
            Vector right[K];
            for (int s = 0; s < K; ++s) {
                const int64_t start = (block * K + s) * K;
                right[s] = sigma[block * K + s] * R::load(v + start, values - start);
            }
            for (int64_t i = 0; i < height; ++i) {
                const T* factors = u + (block * K + i) * K;
                Vector sum = factors[0] * right[0];
                for (int s = 1; s < K; ++s) sum += factors[s] * right[s];
                T* to = output + i * shape.columns + left;
                if (left + R::lanes <= shape.columns)  // what is written too far belongs to the next block, made next
                    *reinterpret_cast<Vector*>(to) = sum;
                else
                    for (int64_t j = 0; j < std::min<int64_t>(K, shape.columns - left); ++j) to[j] = sum[j];
            }
        }
    }
}

// Slope of sigma: diag(U^T dW V^T) of every block; `upstream` is dW, [groups, rows, columns].
template <typename T, int K>
void slope_rows(const Shape& shape, const T* u, const T* v, const T* upstream, T* slope, int64_t first, int64_t last) {
    using R = Row<T, K>;
    using Vector = typename R::Vector;
    const int64_t values = shape.groups * shape.p * shape.q * K * K;
    const T* end = upstream + shape.groups * shape.rows * shape.columns;
    for (int64_t row = first; row < last; ++row) {
        const int64_t top = row % shape.p * K, height = std::min<int64_t>(K, shape.rows - top);
        const T* input = upstream + (row / shape.p * shape.rows + top) * shape.columns;
        for (int64_t column = 0; column < shape.q; ++column) {
            const int64_t block = row * shape.q + column, left = column * K;
            const int64_t width = std::min<int64_t>(K, shape.columns - left);
            Vector turned[K] = {};  // U^T dW
            for (int64_t i = 0; i < height; ++i) {
                const T* from = input + i * shape.columns + left;
                const Vector line = R::load(from, end - from);
                for (int s = 0; s < K; ++s) turned[s] += u[(block * K + i) * K + s] * line;
            }
            for (int s = 0; s < K; ++s) {
                const int64_t start = (block * K + s) * K;
                const Vector product = turned[s] * R::load(v + start, values - start);
                T sum = 0;
                for (int64_t j = 0; j < width; ++j) sum += product[j];
                slope[block * K + s] = sum;
            }
        }
    }
}

// Calls work.template operator()<K>() for the K that is `size`.
template <int K = smallest, typename Work>
void for_size(int64_t size, Work work) {
    if constexpr (K <= largest) {
        if (size == K)
            work.template operator()<K>();
        else
            for_size<K + 1>(size, work);
    }
}

template <typename T>
struct Assemble {
    Shape shape;
    const T *u, *sigma, *v;
    T* joined;
    int64_t threads;
    template <int K>
    void operator()() const {
        in_parallel(shape.groups * shape.p, shape.q * K * K * K, threads, [this](int64_t first, int64_t last) {
            assemble_rows<T, K>(shape, u, sigma, v, joined, first, last);
        });
    }
};

template <typename T>
struct Slope {
    Shape shape;
    const T *u, *v, *upstream;
    T* slope;
    int64_t threads;
    template <int K>
    void operator()() const {
        in_parallel(shape.groups * shape.p, shape.q * K * K * K, threads, [this](int64_t first, int64_t last) {
            slope_rows<T, K>(shape, u, v, upstream, slope, first, last);
        });
    }
};

}  // namespace

#define BLOCKS(NAME, T)                                                                                                \
    extern "C" void blocks_assemble_##NAME(int64_t groups, int64_t p, int64_t q, int64_t size, int64_t rows,           \
                                           int64_t columns, int64_t threads, const T* u, const T* sigma, const T* v,   \
                                           T* joined) {                                                                \
        for_size(size, Assemble<T>{{groups, p, q, rows, columns}, u, sigma, v, joined, threads});                      \
    }                                                                                                                  \
    extern "C" void blocks_slope_##NAME(int64_t groups, int64_t p, int64_t q, int64_t size, int64_t rows,              \
                                        int64_t columns, int64_t threads, const T* u, const T* v, const T* upstream,   \
                                        T* slope) {                                                                    \
        for_size(size, Slope<T>{{groups, p, q, rows, columns}, u, v, upstream, slope, threads});                       \
    }

BLOCKS(float32, float)
BLOCKS(float64, double)
