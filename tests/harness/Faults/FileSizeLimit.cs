using System.ComponentModel;
using System.Runtime.InteropServices;

namespace IotHub.Harness.Faults;

/// <summary>
/// A running process may not write a byte more to any file: the kernel refuses its writes as on a full disk (EFBIG for ENOSPC), and needs
/// nobody's rights for it. Linux only.
/// </summary>
public sealed partial class FileSizeLimit(string folder) : DiskUnderBroker(folder)
{
    private const int FileSize = 1;
    private const ulong Unlimited = ulong.MaxValue;

    public override void Break() => Limit(0);

    public override void Mend() => Limit(Unlimited);

    private void Limit(ulong bytes)
    {
        var limit = new Limits { Soft = bytes, Hard = Unlimited };
        if (SetLimit(Process.Pid, FileSize, limit, 0) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }
    }

    [LibraryImport("libc", EntryPoint = "prlimit", SetLastError = true)]
    private static partial int SetLimit(int pid, int resource, in Limits limit, nint old);

    private struct Limits
    {
        public ulong Soft;
        public ulong Hard;
    }
}
