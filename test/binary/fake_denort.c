/* Stands where denort would: runs the program from source, whatever has been put behind it in its file. */
#include <unistd.h>

int main(int count, char **arguments)
{
	(void)count;
	execv(PROGRAM, arguments);
	return 127;
}
