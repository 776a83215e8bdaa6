package queue

// MoveToFront moves a waiting job to the head of its queue, so that it is the
// next one of its function and priority. It returns false for a job that does
// not wait.
func (q *Queue) MoveToFront(j *Job) bool {
	if j.state != Waiting {
		return false
	}
	l := &j.function.waiting[j.priority]
	if j.is(behind) {
		l = &j.function.behind[j.priority]
	}
	l.removeJob(j)
	l.pushFront(j)
	if f := j.function; f.withheld[j.priority] {
		f.releaseList(j.priority)
	}
	return true
}
