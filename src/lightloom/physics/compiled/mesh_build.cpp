// The matrix that a mesh makes, and the gradient of its phases.
//
// A block's state is the matrix so far, one row per waveguide: a rotation mixes two rows, so it runs along
// them in vectors of 64 bytes. Rows are padded with zeros to whole vectors; complex rows hold a plane of real
// parts, then one of imaginary parts, and the (real) rotation treats both alike.

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "lanes.hpp"
#include "parallel.hpp"

namespace {

template <typename T>
struct Wide {
    typedef T Vector __attribute__((vector_size(64)));
    static constexpr int length = 64 / sizeof(T);
};

// What both directions share. Phases are [blocks, count]; matrices are [blocks, size, size], complex
// interleaved.
template <typename T>
struct Mesh {
    int64_t blocks, size, mzis;
    const int32_t *upper, *lower;  // waveguides of each MZI, in phase order
    const T* phases;
    const T* signs;  // [blocks, size], or null for all +1
    T transmission;  // amplitude left by one MZI
};

// Which vectors of a row may be other than zero.
struct Reach {
    int64_t first, last;
};

template <typename T, bool Complex>
struct State {
    using Vector = typename Wide<T>::Vector;
    static constexpr int length = Wide<T>::length;
    static constexpr int planes = Complex ? 2 : 1;
    const int64_t size, vectors, width;  // vectors per plane, per row
    std::unique_ptr<Vector[]> data;

    explicit State(int64_t k)
        : size(k), vectors((k + length - 1) / length), width(planes * vectors), data(new Vector[k * width]) {}

    Vector* row(int64_t r) { return data.get() + r * width; }
    T* real(int64_t r) { return reinterpret_cast<T*>(row(r)); }
    T* imaginary(int64_t r) { return reinterpret_cast<T*>(row(r) + vectors); }

    void clear() { std::memset(static_cast<void*>(data.get()), 0, sizeof(Vector) * size * width); }

    // Row r times (re + i im); im is ignored by a real state.
    void scale(int64_t r, T re, T im) {
        Vector* x = row(r);
        for (int64_t v = 0; v < vectors; ++v) {
            if constexpr (Complex) {
                const Vector a = x[v], b = x[v + vectors];
                x[v] = re * a - im * b;
                x[v + vectors] = re * b + im * a;
            } else {
                x[v] = re * x[v];
            }
        }
    }

    // Rows (a, b) times [[c, -s], [s, c]]; nothing but zeros lies outside `reached`.
    void rotate(int64_t a, int64_t b, T c, T s, Reach reached) {
        for (int plane = 0; plane < planes; ++plane) {
            Vector *x = row(a) + plane * vectors, *y = row(b) + plane * vectors;
            for (int64_t v = reached.first; v < reached.last; ++v) {
                const Vector p = x[v], q = y[v];
                x[v] = c * p - s * q;
                y[v] = s * p + c * q;
            }
        }
    }

    void load(const T* matrix) {
        clear();
        for (int64_t r = 0; r < size; ++r) {
            const T* from = matrix + r * size * planes;
            if constexpr (Complex) {
                T *re = real(r), *im = imaginary(r);
                for (int64_t c = 0; c < size; ++c) re[c] = from[2 * c], im[c] = from[2 * c + 1];
            } else {
                std::memcpy(real(r), from, sizeof(T) * size);
            }
        }
    }

    void store(T* matrix) {
        for (int64_t r = 0; r < size; ++r) {
            T* to = matrix + r * size * planes;
            if constexpr (Complex) {
                const T *re = real(r), *im = imaginary(r);
                for (int64_t c = 0; c < size; ++c) to[2 * c] = re[c], to[2 * c + 1] = im[c];
            } else {
                std::memcpy(to, real(r), sizeof(T) * size);
            }
        }
    }
};

template <typename T>
T total(typename Wide<T>::Vector sum) {
    T part[Wide<T>::length];
    std::memcpy(part, &sum, sizeof part);
    for (int half = Wide<T>::length / 2; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) part[i] += part[i + half];
    return part[0];
}

// Re sum_j i conj(gradient_j) x_j: how the loss moves when row r of x turns by a phase.
template <typename T>
T turning(State<T, true>& gradient, State<T, true>& x, int64_t r) {
    typename Wide<T>::Vector sum = {};
    auto *g = gradient.row(r), *y = x.row(r);
    const int64_t n = x.vectors;
    for (int64_t v = 0; v < n; ++v) sum += g[v + n] * y[v] - g[v] * y[v + n];
    return total<T>(sum);
}

// Re sum_j conj(gradient_b) x_a - conj(gradient_a) x_b: the same for the rotation that made rows (a, b) of x.
template <typename T, bool Complex>
T twisting(State<T, Complex>& gradient, State<T, Complex>& x, int64_t a, int64_t b) {
    typename Wide<T>::Vector sum = {};
    auto *ga = gradient.row(a), *gb = gradient.row(b), *xa = x.row(a), *xb = x.row(b);
    for (int64_t v = 0; v < x.width; ++v) sum += gb[v] * xa[v] - ga[v] * xb[v];
    return total<T>(sum);
}

// Cosines and sines of one block's phases, padded to whole vectors.
template <typename T>
struct Angles {
    typedef T Eight __attribute__((vector_size(lanes * sizeof(T))));
    const int64_t count;
    std::vector<T> cosine, sine;

    explicit Angles(int64_t n) : count(n), cosine(n + lanes), sine(n + lanes) {}

    void read(const T* phases) {
        Bits near = Bits{} == 0;
        int64_t start = 0;
        for (; start + lanes <= count; start += lanes) near &= turn(phases + start, start);
        T rest[lanes] = {};
        std::copy(phases + start, phases + count, rest);
        near &= turn(rest, start);
        for (int i = 0; i < lanes; ++i)
            if (!near[i]) return read_far(phases);
    }

    // Eight phases; tells which of them `phasor` is good for.
    Bits turn(const T* phases, int64_t start) {
        Eight x;
        std::memcpy(&x, phases, sizeof x);
        const Vector wide = __builtin_convertvector(x, Vector);
        const Phasor turned = phasor(wide);
        const Eight re = __builtin_convertvector(turned.re, Eight), im = __builtin_convertvector(turned.im, Eight);
        std::memcpy(cosine.data() + start, &re, sizeof re);
        std::memcpy(sine.data() + start, &im, sizeof im);
        return magnitude(wide) < reach;
    }

    // Some phase is huge, infinite or NaN.
    void read_far(const T* phases) {
        for (int64_t i = 0; i < count; ++i)
            cosine[i] = std::cos(double(phases[i])), sine[i] = std::sin(double(phases[i]));
    }
};

// How far light from each input has spread when it meets each MZI: at first a row is one element, and only in
// the depth of the mesh are its rows full.
template <typename T>
std::vector<Reach> light_cone(const Mesh<T>& mesh) {
    std::vector<Reach> rows(mesh.size), cone(mesh.mzis);
    for (int64_t r = 0; r < mesh.size; ++r) rows[r] = {r / Wide<T>::length, r / Wide<T>::length + 1};
    for (int64_t i = 0; i < mesh.mzis; ++i) {
        Reach &a = rows[mesh.upper[i]], &b = rows[mesh.lower[i]];
        cone[i] = a = b = {std::min(a.first, b.first), std::max(a.last, b.last)};
    }
    return cone;
}

template <typename T, bool Complex>
void forward(const Mesh<T>& mesh, T* output, int64_t first, int64_t last) {
    const int64_t k = mesh.size, m = mesh.mzis, phases = Complex ? 2 * m + k : m;
    const std::vector<Reach> cone = light_cone(mesh);
    State<T, Complex> x(k);
    Angles<T> angles(phases);
    const T *c = angles.cosine.data(), *s = angles.sine.data();
    for (int64_t block = first; block < last; ++block) {
        angles.read(mesh.phases + block * phases);
        x.clear();
        for (int64_t r = 0; r < k; ++r) x.real(r)[r] = 1;
        for (int64_t i = 0; i < m; ++i) {
            if constexpr (Complex) x.scale(mesh.upper[i], c[m + i], s[m + i]);
            x.rotate(mesh.upper[i], mesh.lower[i], mesh.transmission * c[i], mesh.transmission * s[i], cone[i]);
        }
        for (int64_t r = 0; r < k; ++r) {
            if constexpr (Complex) x.scale(r, c[2 * m + r], s[2 * m + r]);
            else if (mesh.signs) x.scale(r, mesh.signs[block * k + r], 0);
        }
        x.store(output + block * k * k * x.planes);
    }
}

// Walks back from the output, undoing one rotation at a time: no state in between was kept.
template <typename T, bool Complex>
void backward(const Mesh<T>& mesh, const T* output, const T* upstream, T* slope, int64_t first, int64_t last) {
    const int64_t k = mesh.size, m = mesh.mzis, phases = Complex ? 2 * m + k : m;
    const T gain = 1 / mesh.transmission;
    State<T, Complex> x(k), g(k);
    const Reach all{0, x.vectors};
    Angles<T> angles(phases);
    const T *c = angles.cosine.data(), *s = angles.sine.data();
    for (int64_t block = first; block < last; ++block) {
        angles.read(mesh.phases + block * phases);
        T* d = slope + block * phases;
        x.load(output + block * k * k * x.planes);
        g.load(upstream + block * k * k * g.planes);
        for (int64_t r = 0; r < k; ++r) {
            if constexpr (Complex) {
                d[2 * m + r] = turning(g, x, r);
                x.scale(r, c[2 * m + r], -s[2 * m + r]);
                g.scale(r, c[2 * m + r], -s[2 * m + r]);
            } else if (mesh.signs) {
                x.scale(r, 1 / mesh.signs[block * k + r], 0);
                g.scale(r, mesh.signs[block * k + r], 0);
            }
        }
        for (int64_t i = m - 1; i >= 0; --i) {
            const int64_t a = mesh.upper[i], b = mesh.lower[i];
            d[i] = twisting(g, x, a, b);
            g.rotate(a, b, mesh.transmission * c[i], -mesh.transmission * s[i], all);
            x.rotate(a, b, gain * c[i], -gain * s[i], all);
            if constexpr (Complex) {
                d[m + i] = turning(g, x, a);
                x.scale(a, c[m + i], -s[m + i]);
                g.scale(a, c[m + i], -s[m + i]);
            }
        }
    }
}

template <typename T, bool Complex>
void forward_all(const Mesh<T>& mesh, T* output, int64_t threads) {
    const int64_t work = mesh.mzis * mesh.size * (Complex ? 3 : 1);
    in_parallel(mesh.blocks, work, threads,
                [=](int64_t first, int64_t last) { forward<T, Complex>(mesh, output, first, last); });
}

template <typename T, bool Complex>
void backward_all(const Mesh<T>& mesh, const T* output, const T* upstream, T* slope, int64_t threads) {
    const int64_t work = mesh.mzis * mesh.size * (Complex ? 9 : 3);
    in_parallel(mesh.blocks, work, threads, [=](int64_t first, int64_t last) {
        backward<T, Complex>(mesh, output, upstream, slope, first, last);
    });
}

}  // namespace

#define EXPORT(T, COMPLEX, NAME)                                                                                  \
    extern "C" void mesh_forward_##NAME(int64_t blocks, int64_t size, int64_t mzis, const int32_t* upper,         \
                                        const int32_t* lower, const T* phases, const T* signs,                    \
                                        double transmission, int64_t threads, T* output) {                        \
        forward_all<T, COMPLEX>({blocks, size, mzis, upper, lower, phases, signs, T(transmission)}, output,       \
                                threads);                                                                         \
    }                                                                                                             \
    extern "C" void mesh_backward_##NAME(int64_t blocks, int64_t size, int64_t mzis, const int32_t* upper,        \
                                         const int32_t* lower, const T* phases, const T* signs,                   \
                                         double transmission, int64_t threads, const T* output,                   \
                                         const T* upstream, T* slope) {                                           \
        backward_all<T, COMPLEX>({blocks, size, mzis, upper, lower, phases, signs, T(transmission)}, output,      \
                                 upstream, slope, threads);                                                       \
    }

EXPORT(float, false, real_float32)
EXPORT(double, false, real_float64)
EXPORT(float, true, complex_float32)
EXPORT(double, true, complex_float64)
