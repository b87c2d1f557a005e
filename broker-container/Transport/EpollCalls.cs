using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;

namespace IotHub.Broker.Transport;

/// <summary>The calls of Linux that <see cref="EpollLoop"/> lives on, repeated where a signal came between.</summary>
internal static partial class EpollCalls
{
    public const uint Readable = 1, Writable = 4;
    public const int Add = 1, Delete = 2, Modify = 3;

    private const int Interrupted = 4;
    private const int WouldBlock = 11;
    private const int NonBlockingCloseOnExec = 0x800 | 0x80000;
    private const int NoSignal = 0x4000;
    private const int ShutDownSending = 1;

    /// <summary>Bytes between the records of <see cref="Wait"/>; the kernel's struct is packed on x86-64 only.</summary>
    public static readonly int EventSize = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    public static bool IsSupported =>
        OperatingSystem.IsLinux() && RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.Arm64;

    /// <summary>The last call had nothing to give or no room; it is worth trying again later.</summary>
    public static bool LastWouldBlock => Marshal.GetLastPInvokeError() == WouldBlock;

    /// <summary>The process or the machine has no descriptors or no memory left for a moment (EMFILE, ENFILE, ENOMEM, ENOBUFS).</summary>
    public static bool LastWasShortage => Marshal.GetLastPInvokeError() is 24 or 23 or 12 or 105;

    /// <exception cref="IOException">The system gives none.</exception>
    public static int CreatePoller() => Checked(epoll_create1(0x80000), "epoll_create1");

    /// <summary>A descriptor that is readable after <see cref="Signal"/> until <see cref="ClearSignal"/>.</summary>
    /// <exception cref="IOException">The system gives none.</exception>
    public static int CreateSignal() => Checked(eventfd(0, NonBlockingCloseOnExec), "eventfd");

    public static void Signal(int signal) => _ = write(signal, BitConverter.GetBytes(1L), 8);

    public static void ClearSignal(int signal) => _ = read(signal, stackalloc byte[8], 8);

    public static bool Control(int poller, int operation, int descriptor, uint events, ulong tag)
    {
        Span<byte> change = stackalloc byte[16];
        MemoryMarshal.Write(change, events);
        MemoryMarshal.Write(change[(EventSize - 8)..], tag);
        return epoll_ctl(poller, operation, descriptor, change) == 0;
    }

    /// <returns>Records in <paramref name="events"/>; 0 after a signal or when the time is over.</returns>
    /// <exception cref="IOException">The poller is not one.</exception>
    public static int Wait(int poller, Span<byte> events, int milliseconds)
    {
        var count = epoll_wait(poller, events, events.Length / EventSize, milliseconds);
        return count < 0 && Marshal.GetLastPInvokeError() == Interrupted ? 0 : Checked(count, "epoll_wait");
    }

    public static (uint Events, ulong Tag) EventAt(ReadOnlySpan<byte> events, int index)
    {
        var at = events.Slice(index * EventSize, EventSize);
        return (MemoryMarshal.Read<uint>(at), MemoryMarshal.Read<ulong>(at[(EventSize - 8)..]));
    }

    /// <returns>A non-blocking socket, or -1.</returns>
    public static int Accept(int listener)
    {
        int socket;
        do
        {
            socket = accept4(listener, 0, 0, NonBlockingCloseOnExec);
        }
        while (socket < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        return socket;
    }

    /// <returns>Bytes read, 0 at the end, -1 otherwise.</returns>
    public static int Receive(int socket, Span<byte> into)
    {
        nint read;
        do
        {
            read = recv(socket, into, into.Length, 0);
        }
        while (read < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        return (int)read;
    }

    /// <returns>Bytes that the socket took, -1 otherwise.</returns>
    public static int Send(int socket, ReadOnlySpan<byte> bytes)
    {
        nint sent;
        do
        {
            sent = send(socket, bytes, bytes.Length, NoSignal);
        }
        while (sent < 0 && Marshal.GetLastPInvokeError() == Interrupted);
        return (int)sent;
    }

    public static bool FinishSending(int socket) => shutdown(socket, ShutDownSending) == 0;

    public static void Close(int descriptor) => _ = close(descriptor);

    /// <summary>The other end of a connection; null once it is gone.</summary>
    public static IPEndPoint? PeerOf(int socket)
    {
        const int internet = 2, internet6 = 10;
        Span<byte> address = stackalloc byte[28];
        var size = address.Length;
        if (getpeername(socket, address, ref size) < 0)
        {
            return null;
        }
        var port = BinaryPrimitives.ReadUInt16BigEndian(address[2..]);
        return MemoryMarshal.Read<ushort>(address) switch
        {
            internet => new IPEndPoint(new IPAddress(address.Slice(4, 4)), port),
            internet6 => new IPEndPoint(new IPAddress(address.Slice(8, 16), MemoryMarshal.Read<uint>(address[24..])), port),
            _ => null,
        };
    }

    private static int Checked(int result, string call) =>
        result >= 0 ? result : throw new IOException($"{call}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint value, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int poller, int operation, int descriptor, ReadOnlySpan<byte> change);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int poller, Span<byte> events, int maximum, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(int listener, nint address, nint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int socket, Span<byte> into, nint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int socket, ReadOnlySpan<byte> bytes, nint size, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int descriptor, Span<byte> into, nint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int descriptor, ReadOnlySpan<byte> bytes, nint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(int socket, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getpeername(int socket, Span<byte> address, ref int size);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);
}
