using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace IotHub.Broker.Durability;

/// <summary>What the framework has no call for: making data, and the entries of a folder, durable.</summary>
internal static partial class DiskSync
{
    /// <summary>The file's bytes and its size; not its times, which cost a journal commit.</summary>
    public static void Data(SafeFileHandle file, string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(file);
            return;
        }
        if (FDataSync(file) != 0)
        {
            throw Failed(path);
        }
    }

    /// <summary>That files were made, renamed or deleted in a folder.</summary>
    public static void Folder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }
        var folder = Open(path, 0);
        if (folder < 0)
        {
            throw Failed(path);
        }
        var synced = FSync(folder);
        var failure = synced == 0 ? null : Failed(path);
        _ = Close(folder);
        if (failure is not null)
        {
            throw failure;
        }
    }

    private static IOException Failed(string path) =>
        new($"{path} cannot be made durable: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FDataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(int file);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
