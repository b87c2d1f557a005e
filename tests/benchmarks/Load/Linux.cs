using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace IotHub.Benchmarks.Load;

/// <summary>
/// The few calls of the C library that the generator lives on. The framework's sockets would do, but each wake-up of theirs costs a
/// second read and a dispatch, and then the generator, not the broker, would be what is measured.
/// </summary>
internal static partial class Linux
{
    public const int WouldBlock = 11;
    public const int InProgress = 115;
    private const int Interrupted = 4;
    private const int InternetFamily = 2;
    private const int StreamNonBlockingCloseOnExec = 1 | 0x800 | 0x80000;
    private const int NoSignal = 0x4000;

    public static int LastError => Marshal.GetLastPInvokeError();

    /// <summary>Begins to connect; the socket is writable once it is done. Throws when that cannot even begin.</summary>
    public static int Connect(IPEndPoint to, IPAddress from)
    {
        var socket = socket_(InternetFamily, StreamNonBlockingCloseOnExec, 0);
        if (socket < 0)
        {
            throw new IOException($"cannot open a socket (error {LastError}): is the limit of open files high enough?");
        }
        var one = 1;
        const int tcp = 6, noDelay = 1;
        setsockopt(socket, tcp, noDelay, ref one, sizeof(int));
        var bound = from.Equals(IPAddress.Any) ? 0 : bind(socket, Address(new IPEndPoint(from, 0)), 16);
        if (bound < 0 || (connect(socket, Address(to), 16) < 0 && LastError != InProgress))
        {
            var error = LastError;
            Close(socket);
            throw new IOException($"cannot connect to {to} from {from} (error {error})");
        }
        return socket;
    }

    /// <returns>Bytes sent; -1 with <see cref="LastError"/> otherwise.</returns>
    public static int Send(int socket, ReadOnlySpan<byte> data) => (int)send(socket, data, data.Length, NoSignal);

    /// <returns>Bytes read, 0 at the end; -1 with <see cref="LastError"/> otherwise.</returns>
    public static int Receive(int socket, Span<byte> into) => (int)recv(socket, into, into.Length, 0);

    public static void Close(int handle) => _ = close(handle);

    /// <summary>CPU time of all threads of a process in seconds, finer than the hundredths of /proc.</summary>
    public static double? CpuSeconds(int pid) =>
        clock_gettime((~pid << 3) | 2, out var time) == 0 ? time.Seconds + (time.Nanoseconds / 1e9) : null;

    /// <summary>Timers of this thread ring when they are due. Otherwise the kernel takes up to 50 µs to gather them.</summary>
    public static void WakeOnTime()
    {
        const int setTimerSlack = 29;
        _ = prctl(setTimerSlack, 1, 0, 0, 0);
    }

    /// <summary>This thread rests, and nothing wakes it but the clock.</summary>
    public static void Sleep(long nanoseconds)
    {
        const int monotonic = 1;
        var time = new TimeSpec { Seconds = nanoseconds / 1_000_000_000, Nanoseconds = nanoseconds % 1_000_000_000 };
        _ = clock_nanosleep(monotonic, 0, in time, 0);
    }

    private static byte[] Address(IPEndPoint endPoint)
    {
        var address = new byte[16];
        BitConverter.TryWriteBytes(address, (ushort)InternetFamily);
        BinaryPrimitives.WriteUInt16BigEndian(address.AsSpan(2), (ushort)endPoint.Port);
        endPoint.Address.GetAddressBytes().CopyTo(address, 4);
        return address;
    }

    /// <summary>Waits for any of many sockets, level-triggered, with a time-out in nanoseconds.</summary>
    public sealed class Poller : IDisposable
    {
        public const uint Readable = 1, Writable = 4, Failed = 8 | 16;
        private const int Add = 1, Modify = 3, EventsMaximum = 512;

        // The kernel's struct is packed on x86-64 only.
        private static readonly int Stride = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;
        private readonly byte[] _events = new byte[16 * EventsMaximum];
        private readonly int _handle = epoll_create1(0x80000);

        public void Watch(int socket, int tag, uint events) => Control(Add, socket, tag, events);

        public void Change(int socket, int tag, uint events) => Control(Modify, socket, tag, events);

        public void Forget(int socket)
        {
            const int delete = 2;
            Control(delete, socket, 0, 0);
        }

        /// <returns>How many sockets have news.</returns>
        public int Wait(long nanoseconds)
        {
            var timeout = new TimeSpec { Seconds = nanoseconds / 1_000_000_000, Nanoseconds = nanoseconds % 1_000_000_000 };
            var count = epoll_pwait2(_handle, _events, EventsMaximum, in timeout, 0);
            return count >= 0 ? count
                : LastError == Interrupted ? 0
                : throw new IOException($"epoll_pwait2 failed (error {LastError}): it needs Linux 5.11");
        }

        public (int Tag, uint Events) this[int index]
        {
            get
            {
                var at = _events.AsSpan(index * Stride, Stride);
                return (MemoryMarshal.Read<int>(at[(Stride - 8)..]), MemoryMarshal.Read<uint>(at));
            }
        }

        public void Dispose() => Close(_handle);

        private void Control(int operation, int socket, int tag, uint events)
        {
            Span<byte> change = stackalloc byte[16];
            MemoryMarshal.Write(change, events);
            MemoryMarshal.Write(change[(Stride - 8)..], (long)tag);
            if (epoll_ctl(_handle, operation, socket, change) < 0)
            {
                throw new IOException($"epoll_ctl failed (error {LastError})");
            }
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int socket_(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(int socket, int level, int name, ref int value, int size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(int socket, byte[] address, int size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(int socket, byte[] address, int size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int socket, ReadOnlySpan<byte> data, nint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int socket, Span<byte> data, nint size, int flags);

    [LibraryImport("libc")]
    private static partial int close(int handle);

    [LibraryImport("libc")]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int poller, int operation, int socket, Span<byte> change);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_pwait2(int poller, byte[] events, int maximum, in TimeSpec timeout, nint signals);

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out TimeSpec time);

    [LibraryImport("libc")]
    private static partial int clock_nanosleep(int clock, int flags, in TimeSpec time, nint left);
}
